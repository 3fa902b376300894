"""Run sen-rs WebAssembly plugins from Python, on the engine of your choice.

from sen_host import PluginLoader

with PluginLoader(backend="wasmtime").load("greet.wasm") as greet:
    print(greet.execute(["Alice"]))
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host import errors, messages
    from sen_host.audit import Audit
    from sen_host.config import Config
    from sen_host.discovery import Scan, default_plugin_dirs, scan
    from sen_host.effects import EffectDriver, EffectLimits
    from sen_host.engines import BackendInfo, backends, open_backend
    from sen_host.errors import SenHostError, TrapKind
    from sen_host.host_functions import GuestExit, GuestMemory, HostFunctions, MemoryRange
    from sen_host.limits import FUEL_SCHEDULE, Limits
    from sen_host.loader import PluginLoader
    from sen_host.messages import API_VERSION
    from sen_host.permissions import Permissions
    from sen_host.plugin import Plugin
    from sen_host.pool import PluginPool
    from sen_host.registry import PluginRegistry
    from sen_host.wasi import Wasi
    from sen_host.watch import HotReloadWatcher

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "FUEL_SCHEDULE",
    "Audit",
    "BackendInfo",
    "Config",
    "EffectDriver",
    "EffectLimits",
    "GuestExit",
    "GuestMemory",
    "HostFunctions",
    "HotReloadWatcher",
    "Limits",
    "MemoryRange",
    "Permissions",
    "Plugin",
    "PluginLoader",
    "PluginPool",
    "PluginRegistry",
    "Scan",
    "SenHostError",
    "TrapKind",
    "Wasi",
    "__version__",
    "backends",
    "default_plugin_dirs",
    "errors",
    "messages",
    "open_backend",
    "scan",
]

_HOMES = {
    "API_VERSION": "messages",
    "FUEL_SCHEDULE": "limits",
    "Audit": "audit",
    "BackendInfo": "engines",
    "Config": "config",
    "GuestExit": "host_functions",
    "GuestMemory": "host_functions",
    "HostFunctions": "host_functions",
    "Limits": "limits",
    "MemoryRange": "host_functions",
    "EffectDriver": "effects",
    "EffectLimits": "effects",
    "HotReloadWatcher": "watch",
    "Permissions": "permissions",
    "Plugin": "plugin",
    "PluginLoader": "loader",
    "PluginPool": "pool",
    "PluginRegistry": "registry",
    "Scan": "discovery",
    "SenHostError": "errors",
    "TrapKind": "errors",
    "Wasi": "wasi",
    "backends": "engines",
    "default_plugin_dirs": "discovery",
    "errors": "errors",
    "messages": "messages",
    "open_backend": "engines",
    "scan": "discovery",
}


def __getattr__(name: str) -> object:
    # Names are resolved at first use, so that `import sen_host` stays cheap.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    __import__(f"sen_host.{home}")
    module = sys.modules[f"sen_host.{home}"]
    if name == home:
        return module
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
