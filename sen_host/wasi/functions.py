"""The functions of WASI preview 1, as one object for each instance of a plugin."""

from __future__ import annotations

from sen_host.backend import EXECUTE, RESUME, FuncType
from sen_host.host_functions import HostFunctions, MemoryRange
from sen_host.messages import Capabilities
from sen_host.wasi import files, paths, process
from sen_host.wasi.context import Context
from sen_host.wasi.directories import fd_readdir
from sen_host.wasi.errno import Errno, WasiError, of_system
from sen_host.wasi.layout import MODULE
from sen_host.wasi.memory import Memory
from sen_host.wasi.opening import path_open
from sen_host.wasi.poll import poll_oneoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sen_host.host_functions import GuestMemory
    from sen_host.wasi.settings import Wasi

_NOTHING = Capabilities()
_GRANTED = frozenset({EXECUTE, RESUME})

# i stands for a parameter of 32 bits, l for one of 64.
_OFFERED: tuple[tuple[Callable[..., None], str], ...] = (
    (process.args_get, "ii"),
    (process.args_sizes_get, "ii"),
    (process.environ_get, "ii"),
    (process.environ_sizes_get, "ii"),
    (process.clock_res_get, "ii"),
    (process.clock_time_get, "ili"),
    (process.random_get, "ii"),
    (process.sched_yield, ""),
    (process.proc_exit, "i"),
    (poll_oneoff, "iiii"),
    (files.fd_advise, "illi"),
    (files.fd_allocate, "ill"),
    (files.fd_close, "i"),
    (files.fd_datasync, "i"),
    (files.fd_fdstat_get, "ii"),
    (files.fd_fdstat_set_flags, "ii"),
    (files.fd_fdstat_set_rights, "ill"),
    (files.fd_filestat_get, "ii"),
    (files.fd_filestat_set_size, "il"),
    (files.fd_filestat_set_times, "illi"),
    (files.fd_pread, "iiili"),
    (files.fd_prestat_get, "ii"),
    (files.fd_prestat_dir_name, "iii"),
    (files.fd_pwrite, "iiili"),
    (files.fd_read, "iiii"),
    (fd_readdir, "iiili"),
    (files.fd_renumber, "ii"),
    (files.fd_seek, "ilii"),
    (files.fd_sync, "i"),
    (files.fd_tell, "ii"),
    (files.fd_write, "iiii"),
    (paths.path_create_directory, "iii"),
    (paths.path_filestat_get, "iiiii"),
    (paths.path_filestat_set_times, "iiiilli"),
    (paths.path_link, "iiiiiii"),
    (path_open, "iiiiillii"),
    (paths.path_readlink, "iiiiii"),
    (paths.path_remove_directory, "iii"),
    (paths.path_rename, "iiiiii"),
    (paths.path_symlink, "iiiii"),
    (paths.path_unlink_file, "iii"),
)
_BITS = {"i": "i32", "l": "i64"}

_FUNCTIONS = {function.__name__: function for function, _ in _OFFERED}
TYPES: Mapping[tuple[str, str], FuncType] = {
    (MODULE, function.__name__): FuncType(
        tuple(_BITS[letter] for letter in params),
        () if function is process.proc_exit else ("i32",),
    )
    for function, params in _OFFERED
}
"""The functions that are offered. All return an error number, except for ``proc_exit``."""


class WasiFunctions(HostFunctions):
    """WASI for one instance of a plugin; ``Wasi`` makes it."""

    def __init__(self, settings: Wasi) -> None:
        self._settings = settings
        self._context: Context | None = None

    @property
    def types(self) -> Mapping[tuple[str, str], FuncType]:
        return TYPES

    def begin(self, function: str, args: Sequence[str]) -> None:
        """A guest entry begins, with descriptors and clocks of its own.

        What was granted is there while the plugin's command runs; its manifest and its
        memory are its own affair.

        Raises:
            GrantNotUsable: a granted file or directory cannot be opened.
        """
        self.end()
        granted = self.granted if function in _GRANTED else _NOTHING
        self._context = Context(self._settings, granted, args if function in _GRANTED else ())

    def call(
        self, module: str, name: str, memory: GuestMemory, arguments: tuple[int, ...]
    ) -> int | None:
        """Do what the guest asks for; the result is an error number.

        Raises:
            GuestExit: the guest ends itself.
        """
        assert module == MODULE
        if self._context is None:  # the instance is made: nothing is granted to that
            self.begin("", ())
        assert self._context is not None
        try:
            self._context.spend(1)
            _FUNCTIONS[name](self._context, Memory(memory), *arguments)
        except WasiError as error:
            return int(error.errno)
        except MemoryRange:
            return int(Errno.FAULT)
        except OSError as error:
            return int(of_system(error))
        return None if name == "proc_exit" else int(Errno.SUCCESS)

    def end(self) -> None:
        """The guest entry is over: all descriptors are closed."""
        context, self._context = self._context, None
        if context is not None:
            context.close()

    def close(self) -> None:
        """As ``end``."""
        self.end()
