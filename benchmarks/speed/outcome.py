"""What a trial found."""

from __future__ import annotations

from dataclasses import dataclass, field

OURS = "sen-host"


@dataclass
class Outcome:
    """What a trial found.

    Attributes:
        samples: by contestant, one value for each round, in seconds unless the row
            says otherwise.
        missing: contestants that cannot run here, and why.
        facts: other figures worth telling, with their units in their names.
    """

    samples: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)
