"""WASI preview 1 for plugins, above the engines: a plugin sees what it was granted.

The functions are ours, and the same for every engine: so a plugin gets equal bytes,
and uses equal fuel, wherever it runs. The rules:

- The file system is what lies below granted directories. Each is opened once by the
  host; all below it is found by :mod:`sen_host.wasi.beneath`, relative to an open
  directory and one name at a time.
- Environment and standard streams are what was granted of them.
- Whatever a guest passes is checked before something is done: pointers, lengths,
  flags. What a call may cost the host is bounded by :class:`WasiLimits`.
- Each guest entry has a context of its own, which ends with it.

    settings     what the embedding program sets
    functions    the object that the engines' side calls
    context      what the functions know during one guest entry
    process, poll, files, directories, opening, paths    the functions
    grants, scope, beneath                               what may be reached, and how
    descriptors, streams, clocks, times, memory          what they work on
    layout, errno                                        numbers of the standard
"""

from __future__ import annotations

from sen_host.wasi.clocks import FixedClock
from sen_host.wasi.settings import Wasi, WasiLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.functions import WasiFunctions

__all__ = ["FixedClock", "Wasi", "WasiFunctions", "WasiLimits"]


def __getattr__(name: str) -> object:
    # The functions themselves are imported when a plugin needs them.
    if name == "WasiFunctions":
        from sen_host.wasi.functions import WasiFunctions

        return WasiFunctions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
