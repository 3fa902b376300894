"""One plugin on several backends: make the same calls on all, and tell where they differ.

    from sen_host.comparison import available_loaders, compare

    found = compare(wasm, available_loaders(Config.load()), [["Alice"], []])
    assert not found.differs

Two backends differ if a call ends otherwise, or uses other fuel, or leaves
another size of memory. What a backend declares that it cannot know is no
difference. The effects that a plugin asks for get the same answers everywhere:
see ``answers``.
"""

from sen_host.comparison.answers import Answers, answer_requests, refuse_requests
from sen_host.comparison.argument_file import read_argument_file
from sen_host.comparison.differences import UNKNOWN, Difference, differences
from sen_host.comparison.loaders import available_loaders, label, loaders_to_compare
from sen_host.comparison.side_by_side import Case, Comparison, Progress, Side, compare
from sen_host.comparison.trace import Failure, Step, Trace, record, record_load

__all__ = [
    "UNKNOWN",
    "Answers",
    "Case",
    "Comparison",
    "Difference",
    "Failure",
    "Progress",
    "Side",
    "Step",
    "Trace",
    "answer_requests",
    "available_loaders",
    "compare",
    "differences",
    "label",
    "loaders_to_compare",
    "read_argument_file",
    "record",
    "record_load",
    "refuse_requests",
]
