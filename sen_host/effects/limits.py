"""What the effects of one run may take: one frozen object for every limit."""

from __future__ import annotations

import math

from sen_host.errors import InvalidLimit
from sen_host.records import record

MIB = 1 << 20
DAY = 86_400

_COUNTS: dict[str, tuple[int, int]] = {
    "effects": (0, 1_000_000),
    "redirects": (0, 100),
    "request_bytes": (0, 2**32 - 1),
    "body_bytes": (0, 2**32 - 1),
    "header_count": (0, 1_000),
    # The parser of the library takes no head of much more than this.
    "header_bytes": (0, 64 * 1024),
}
_SECONDS = frozenset(
    "total_seconds request_seconds connect_seconds read_seconds sleep_seconds"
    " total_sleep_seconds".split()
)


@record(frozen=True, slots=True, kw_only=True)
class EffectLimits:
    """The limits of the effects of one run. None of them can be switched off.

    Attributes:
        effects: how many effects one run may ask for, 0 to 1,000,000.
        total_seconds: time for all effects of one run together, sleeps among them.
        request_seconds: time for one HTTP effect, from the resolution of the name to
            the last byte of the body, redirects among it.
        connect_seconds: time for one connection, TLS among it.
        read_seconds: longest silence of a server.
        redirects: how many redirects of one effect are followed, 0 to 100. With 0 the
            plugin gets the redirect itself.
        request_bytes: largest body of a POST, 0 to 4 GiB - 1.
        body_bytes: largest body of a response, after decompression; 0 to 4 GiB - 1.
        header_count: how many headers a request or a response may have, 0 to 1,000.
        header_bytes: size of all their names and values together, 0 to 64 KiB.
        sleep_seconds: longest single sleep; may be 0.
        total_sleep_seconds: all sleeps of one run together; may be 0.

    Times are numbers of seconds, at most 86,400; above 0 but for those of sleeps.

    Raises:
        InvalidLimit: a value is of the wrong type or out of its range.
    """

    effects: int = 1_000
    total_seconds: float = 600
    request_seconds: float = 60
    connect_seconds: float = 10
    read_seconds: float = 30
    redirects: int = 10
    request_bytes: int = 8 * MIB
    body_bytes: int = 8 * MIB
    header_count: int = 100
    header_bytes: int = 64 * 1024
    sleep_seconds: float = 60
    total_sleep_seconds: float = 300

    def __post_init__(self) -> None:
        for name in EFFECT_LIMITS:
            _check(name, getattr(self, name))


EFFECT_LIMITS = tuple(EffectLimits.__annotations__)
"""The names of all limits."""


def _check(name: str, value: object) -> None:
    if name in _SECONDS:
        may_be_zero = "sleep" in name
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (value > 0 or (may_be_zero and value == 0))
            and value <= DAY
        ):
            return
        wanted = f"a number of seconds {'from' if may_be_zero else 'above'} 0 and at most {DAY:,}"
    else:
        low, high = _COUNTS[name]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return
        wanted = f"a whole number from {low:,} to {high:,}"
    raise InvalidLimit(f"EffectLimits.{name} is {value!r}; it must be {wanted}", key=name)
