"""Effects: what a plugin asks its host to do, done within what is granted.

    driver = EffectDriver([parse_pattern("example.com")])
    with PluginLoader().load("fetch.wasm") as fetch:
        print(driver.run(fetch, ["https://example.com"]))

``core`` decides, ``sync_io`` and ``async_io`` do; see docs/effects.md.
"""

from __future__ import annotations

from sen_host.effects.driver import EffectDriver
from sen_host.effects.limits import EffectLimits
from sen_host.effects.patterns import parse_pattern
from sen_host.effects.reports import EffectReport
from sen_host.effects.session import EffectSession

__all__ = ["EffectDriver", "EffectLimits", "EffectReport", "EffectSession", "parse_pattern"]
