"""What is wrong with a plugin, before its users find out.

    from sen_host.checkup import check

    report = check(wasm, available_loaders(config))
    for finding in report.findings:
        print(finding.level, finding.what, *finding.where, finding.remedy)

``structure`` looks at the binary and ``manifest`` at what the plugin says of
itself. ``behaviour`` loads it on every backend and calls it with the arguments
of ``sweep``.
"""

from sen_host.checkup.behaviour import check_call, check_leaks
from sen_host.checkup.checkup import Report, check
from sen_host.checkup.findings import Area, Finding, Level, merged
from sen_host.checkup.manifest import check_manifest
from sen_host.checkup.structure import check_structure
from sen_host.checkup.sweep import Probe, sweep

__all__ = [
    "Area",
    "Finding",
    "Level",
    "Probe",
    "Report",
    "check",
    "check_call",
    "check_leaks",
    "check_manifest",
    "check_structure",
    "merged",
    "sweep",
]
