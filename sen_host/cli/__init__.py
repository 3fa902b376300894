"""The command ``sen-host``. Everything is imported late: a command starts fast."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    import os
    import sys

    # A stream that was closed before we started is None.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115

    from sen_host.cli.app import app

    sys.exit(app.main(prog_name="sen-host", standalone_mode=False))
