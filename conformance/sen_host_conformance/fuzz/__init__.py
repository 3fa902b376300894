"""Differential fuzzing: modules at random, run alike on every backend.

``python -m sen_host_conformance.fuzz`` runs it; docs/fuzzing.md tells what it
proves and how to read what it finds.
"""

from sen_host_conformance.fuzz.campaign import Settings, open_backends, run, run_module
from sen_host_conformance.fuzz.case import Case, replay
from sen_host_conformance.fuzz.report import Failure, Result, Summary
from sen_host_conformance.fuzz.smith import find_wasm_tools

__all__ = [
    "Case",
    "Failure",
    "Result",
    "Settings",
    "Summary",
    "find_wasm_tools",
    "open_backends",
    "replay",
    "run",
    "run_module",
]
