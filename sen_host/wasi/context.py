"""What the functions know during one guest entry: descriptors, and what is left of the limits."""

from __future__ import annotations

import os
from functools import cached_property

from sen_host.wasi.clocks import FixedTime, RealTime, random_source
from sen_host.wasi.descriptors import Directory, InputStream, OutputStream, Table
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.grants import open_granted, select_environment
from sen_host.wasi.streams import Input, Output, process_input, process_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from sen_host.messages import Capabilities
    from sen_host.wasi.settings import Wasi
    from sen_host.wasi.streams import Sink

TRANSFER_BYTES: Final = 1 << 20
"""The most that one call reads, writes or fills with random bytes."""

_STEP_BYTES = 4_096


class Context:
    """A fresh one serves each guest entry."""

    def __init__(self, settings: Wasi, granted: Capabilities, args: Sequence[str]) -> None:
        """Open what was granted.

        Raises:
            GrantNotUsable: see there.
        """
        limits = settings.limits
        self.limits = limits
        self._settings = settings
        self._granted = granted
        self._args = args
        self._steps = limits.steps
        self._written = limits.written_bytes
        self._output = limits.output_bytes
        stdio = granted.stdio
        streams = (
            InputStream(self._input() if stdio.stdin else Input(None)),
            OutputStream(Output(self._sink("stdout") if stdio.stdout else None)),
            OutputStream(Output(self._sink("stderr") if stdio.stderr else None)),
        )
        preopened = open_granted(granted, settings.working_directory)
        self.table = Table(len(streams) + len(preopened) + limits.open_files)
        for stream in streams:
            self.table.add(stream)
        for name, fd, access in preopened:
            self.table.add(Directory(fd, (), access, name.encode()))

    def _input(self) -> Input:
        source = self._settings.stdin
        return Input(process_input() if source is None else source)

    def _sink(self, name: str) -> Sink | None:
        sink: Sink | None = getattr(self._settings, name)
        return process_output(name) if sink is None else sink

    @cached_property
    def time(self) -> RealTime | FixedTime:
        """The clocks."""
        fixed = self._settings.clock
        return RealTime(self.limits.sleep_seconds) if fixed is None else FixedTime(fixed)

    @cached_property
    def random(self) -> Callable[[int], bytes]:
        """A function that gives so many random bytes."""
        return random_source(self._settings.random_seed)

    @cached_property
    def arguments(self) -> list[bytes]:
        """The program's name and its arguments."""
        given = self._settings.arguments
        texts = (self._settings.program_name, *(self._args if given is None else given))
        # A NUL ends an argument in the guest: what follows it must not become another.
        return [text.encode().partition(b"\0")[0] for text in texts]

    @cached_property
    def environment(self) -> list[bytes]:
        """The variables as ``NAME=value``."""
        environ = self._settings.environ
        patterns = self._granted.env_read
        return select_environment(patterns, os.environ if environ is None else environ)

    def spend(self, steps: int) -> None:
        """Count the host's work.

        Raises:
            WasiError: DQUOT, if the entry has no steps left.
        """
        if steps > self._steps:
            self._steps = 0
            raise WasiError(Errno.DQUOT)
        self._steps -= steps

    def spend_bytes(self, count: int) -> None:
        """Count the moving of bytes."""
        self.spend(count // _STEP_BYTES)

    def check_written(self, count: int) -> None:
        """Raise DQUOT if files may not grow or be overwritten by so many bytes."""
        if count > self._written:
            raise WasiError(Errno.DQUOT)

    def spend_written(self, count: int) -> None:
        """Count what was written to files, after ``check_written``."""
        self._written -= count

    def spend_output(self, count: int) -> None:
        """Count what goes to standard output and error.

        Raises:
            WasiError: DQUOT, if it is too much.
        """
        if count > self._output:
            raise WasiError(Errno.DQUOT)
        self._output -= count

    def close(self) -> None:
        """Close all descriptors."""
        self.table.close_all()
