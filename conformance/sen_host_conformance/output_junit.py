"""A report as JUnit's XML, which build servers read: a test suite for each backend."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sen_host_conformance.player import DECLARED, FAILED, Played
from sen_host_conformance.report import CaseResult, Report

# XML 1.0, section 2.2: no other control character may stand in a document.
_NO_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """A report as an XML document."""
    root = Element("testsuites", name="sen-host conformance", time=f"{report.seconds:.3f}")
    for host in report.bindings:
        suite = SubElement(
            root,
            "testsuite",
            name=host,
            tests=str(len(report.results)),
            failures=str(sum(_text(result, host) is not None for result in report.results)),
            skipped=str(report.count(host, DECLARED)),
        )
        properties = SubElement(suite, "properties")
        for name, value in report.head.items():
            SubElement(properties, "property", name=name, value=_clean(value))
        for result in report.results:
            _add_case(suite, result, host)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_case(suite: Element, result: CaseResult, host: str) -> None:
    played = result.played[host]
    case = SubElement(
        suite,
        "testcase",
        classname=f"{host}.{result.case.area}",
        name=result.case.name,
        time=f"{played.seconds:.3f}",
    )
    text = _text(result, host)
    if text is not None:
        failure = SubElement(case, "failure", message=_clean(result.case.shows))
        failure.text = _clean(text)
    elif played.verdict == DECLARED:
        SubElement(case, "skipped", message=_clean(played.why or ""))


def _text(result: CaseResult, host: str) -> str | None:
    """What went wrong with a case on a host; None if nothing did."""
    played = result.played[host]
    lines = [str(item) for item in result.differences if host in item.seen]
    if played.verdict == FAILED:
        lines += _faults(played)
    return "\n".join(lines) or None


def _faults(played: Played) -> list[str]:
    why = [played.why] if played.why else []
    return why + [f"step {fault.step + 1}: {fault}" for fault in played.faults]


def _clean(text: str) -> str:
    return _NO_CHARACTERS.sub("\ufffd", text)
