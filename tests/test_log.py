"""What is logged is heard by who listens, and logging is not imported for nobody."""

from __future__ import annotations

import logging

import pytest

from sen_host import log
from tests.test_dependencies import run_python


def test_lines_go_to_the_logger_of_the_host(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sen_host"):
        log.debug("a %s", "cause")
        log.warning("%d faults", 2)
    assert caplog.record_tuples == [
        ("sen_host", logging.DEBUG, "a cause"),
        ("sen_host", logging.WARNING, "2 faults"),
    ]
    assert {record.filename for record in caplog.records} == {"test_log.py"}


def test_debug_lines_are_silent_where_nobody_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sen_host"):
        log.debug("a cause")
    assert caplog.records == []


def test_who_imports_logging_later_hears_the_lines_from_then_on() -> None:
    code = """
import sys
from sen_host import log
log.debug("unheard")
assert "logging" not in sys.modules
import logging
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
log.debug("heard")
"""
    assert run_python(code) == "heard\n"


def test_a_warning_is_seen_without_any_set_up() -> None:
    code = "import sys; sys.stderr = sys.stdout; from sen_host import log; log.warning('careful')"
    assert run_python(code) == "careful\n"
