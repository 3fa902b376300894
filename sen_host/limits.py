"""What a plugin may use: one frozen object for every limit."""

from __future__ import annotations

import math

from sen_host.errors import InvalidLimit
from sen_host.records import record

PAGE_BYTES = 65_536
"""The size of a page of linear memory (WebAssembly 2.0, section 4.2.8)."""

FUEL_SCHEDULE = 1
"""The schedule by which fuel is counted, see docs/fuel.md. Its figures never change."""

MIB = 1 << 20

_RANGES: dict[str, tuple[int, int]] = {
    "fuel": (0, 2**64 - 1),
    "memory_bytes": (PAGE_BYTES, 2**32),
    "table_elements": (0, 2**32 - 1),
    "stack_bytes": (128 * 1024, 2 * MIB),
    "result_bytes": (1, 2**32 - 1),
    "module_bytes": (8, 2**32 - 1),
}
_OPTIONAL = frozenset({"fuel", "memory_bytes", "table_elements", "wall_clock_seconds"})


@record(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a plugin. ``None`` switches a limit off, where it may be off.

    The defaults for fuel and stack are those of the Rust host.

    Attributes:
        fuel: budget of each guest entry, 0 to 2**64 - 1, or None.
        memory_bytes: linear memory, 64 KiB to 4 GiB, or None for the module's
            own maximum. Rounded down to whole pages of 64 KiB, and to 4 GiB less
            one page, because not every engine has the last one.
        table_elements: elements of all tables together, 0 to 2**32 - 1, or None
            for the tables' own maxima. With several tables, each may grow by an
            equal share of what their initial sizes leave.
        stack_bytes: call stack of the guest, 128 KiB to 2 MiB. The host keeps
            64 KiB of it for the engine's own frames.
        result_bytes: longest message that the host takes from a plugin.
        wall_clock_seconds: time for one operation (load, execute, resume),
            above 0, or None.
        module_bytes: largest plugin file that the host reads.

    Raises:
        InvalidLimit: a value is of the wrong type or out of its range.
    """

    fuel: int | None = 10_000_000
    memory_bytes: int | None = 256 * MIB
    table_elements: int | None = 1_000_000
    stack_bytes: int = MIB
    result_bytes: int = 16 * MIB
    wall_clock_seconds: float | None = None
    module_bytes: int = 256 * MIB

    def __post_init__(self) -> None:
        for name in LIMITS:
            check_limit(name, getattr(self, name))


LIMITS = tuple(Limits.__annotations__)
"""The names of all limits."""


def check_limit(name: str, value: object, *, source: str | None = None, none: str = "None") -> None:
    """Raise InvalidLimit unless ``value`` is a legal value of the limit ``name``.

    The error names ``source``, and ``none`` as the source's word for no limit.
    """
    if value is None and name in _OPTIONAL:
        return
    if name == "wall_clock_seconds":
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and 0 < value <= 86_400
            and math.isfinite(value)
        ):
            return
        wanted = "a number of seconds above 0 and at most 86,400"
    else:
        low, high = _RANGES[name]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return
        wanted = f"a whole number from {low:,} to {high:,}"
    if name in _OPTIONAL:
        wanted += f", or {none} for no limit"
    raise InvalidLimit(f"limits.{name} is {value!r}; it must be {wanted}", source=source, key=name)
