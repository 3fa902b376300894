"""Engines of the binding ``c-api``."""

from __future__ import annotations

from functools import partial

from sen_host.errors import EngineCreation
from sen_host_wasmtime.capi import CApi, load
from sen_host_wasmtime.clock import EpochClock
from sen_host_wasmtime.configuration import Settings, engine_of, switches


class Engine:
    """A ``wasm_engine_t`` and the clock of its epoch."""

    def __init__(self, settings: Settings, parallel: bool) -> None:
        self.api: CApi = load()
        config = self.api.wasm_config_new()
        chosen = switches(settings, parallel=parallel)
        # For the memory of ``exchange``; the host's profile keeps plugins to one.
        chosen["wasm_multi_memory"] = True
        for setting, value in chosen.items():
            getattr(self.api, f"wasmtime_config_{setting}_set")(config, value)
        self.api.wasmtime_config_max_wasm_stack_set(config, settings.stack_bytes)
        self.pointer: int = self.api.wasm_engine_new_with_config(config)
        if not self.pointer:
            raise EngineCreation("Wasmtime refused its configuration", detail=str(settings))
        self.ticks = EpochClock(
            partial(self.api.wasmtime_engine_increment_epoch, self.pointer)
        ).ticks


def engine_for(settings: Settings) -> Engine:
    """The engine of these settings; engines live as long as the process."""
    return engine_of(Engine, settings)
