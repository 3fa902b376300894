"""Run a row's trial in a process of its own, so that no row disturbs another.

    python -m benchmarks.speed.trial NAME SETTINGS OUTPUT

SETTINGS are JSON; OUTPUT is the file that gets the outcome as JSON. Progress goes to
stderr, a line for each step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.progress import Progress
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.peers import Missing
from benchmarks.speed.rows import ROWS, Row
from benchmarks.speed.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT, ROOT / "backends", ROOT / "conformance")
PYTHON310_VARIABLE = "SEN_BENCHMARKS_PYTHON310"
_STEP = "benchmark: "


class TrialFailed(Exception):
    """A trial gave a wrong result, or came to another end than it should."""


def run(row: Row, settings: Settings, python: str, progress: Progress) -> Outcome:
    """Run a row's trial with an interpreter.

    It gets directories of its own for caches and configuration, empty at first.

    Raises:
        TrialFailed
    """
    with tempfile.TemporaryDirectory(prefix="sen-benchmarks-") as directory:
        output = Path(directory) / "outcome.json"
        command = [python, "-m", "benchmarks.speed.trial", row.name]
        command += [json.dumps(asdict(settings)), str(output)]
        last: deque[str] = deque(maxlen=30)
        try:
            started = subprocess.Popen(
                command,
                cwd=directory,
                env=_environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise TrialFailed(f"{python} cannot be started: {error}") from error
        with started as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(_STEP):
                    progress(f"{row.name}: {line.removeprefix(_STEP).rstrip()}")
                else:
                    last.append(line)
        if process.returncode != 0 or not output.exists():
            raise TrialFailed(f"exit code {process.returncode}\n{''.join(last).rstrip()}")
        return Outcome(**json.loads(output.read_text(encoding="utf-8")))


def _environment(directory: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEN_HOST_")}
    inherited = os.environ.get("PYTHONPATH")
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([*map(str, SOURCES), *filter(None, [inherited])]),
        "XDG_CACHE_HOME": f"{directory}/cache",
        "XDG_CONFIG_HOME": f"{directory}/config",
    }


def find_python310(given: str | None) -> str | None:
    """An interpreter that may have the wasmer package; None if there is none.

    It is the one given, that of the environment variable, this one, or one in ``.venv``.
    """
    if chosen := given or os.environ.get(PYTHON310_VARIABLE):
        return chosen
    if sys.version_info[:2] == (3, 10):
        return sys.executable
    return next(map(str, sorted(ROOT.glob(".venv/3.10*/bin/python"))), None)


def main(arguments: Sequence[str]) -> int:
    """Run the trial of that name in this process."""
    name, settings, output = arguments
    [row] = (row for row in ROWS if row.name == name)
    assert row.trial is not None
    from sen_host.errors import BackendUnavailable, UnknownBackend

    def progress(text: str) -> None:
        print(f"{_STEP}{text}", file=sys.stderr, flush=True)

    try:
        outcome = row.trial(Settings(**json.loads(settings)), progress)
    except (Missing, BackendUnavailable, UnknownBackend) as error:
        outcome = Outcome(missing={OURS: str(error)})
    Path(output).write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # A guest behind pipes may still run, and wasmer-sdk may then abort an ordinary exit.
    sys.stderr.flush()
    os._exit(code)
