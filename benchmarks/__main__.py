"""The command: python -m benchmarks [metering | speed]."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks.metering.command import main as metering
from benchmarks.speed.command import main as speed

SECTIONS: dict[str, Callable[[Sequence[str]], int]] = {"metering": metering, "speed": speed}
USAGE = """\
usage: python -m benchmarks [SECTION [OPTIONS]]

  metering   what metering costs guest code, and how fast modules are rewritten
  speed      calls, starts, memory and threads, beside other ways to run plugins
  (none)     both

python -m benchmarks SECTION --help tells the options."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a result is wrong or something failed, 2 wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        return max(section([]) for section in SECTIONS.values())
    if given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if given[0] not in SECTIONS:
        print(f"{USAGE}\n\nerror: no section {given[0]!r}", file=sys.stderr)
        return 2
    return SECTIONS[given[0]](given[1:])


if __name__ == "__main__":
    sys.exit(main())
