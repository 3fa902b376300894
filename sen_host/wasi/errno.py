"""Error numbers of WASI, and what the operating system's become."""

from __future__ import annotations

import errno
from enum import IntEnum


class Errno(IntEnum):
    """The numbers that the functions return; 0 is success."""

    SUCCESS = 0
    TOOBIG = 1
    ACCES = 2
    AGAIN = 6
    BADF = 8
    BUSY = 10
    DQUOT = 19
    EXIST = 20
    FAULT = 21
    FBIG = 22
    ILSEQ = 25
    INTR = 27
    INVAL = 28
    IO = 29
    ISDIR = 31
    LOOP = 32
    MFILE = 33
    MLINK = 34
    NAMETOOLONG = 37
    NFILE = 41
    NOENT = 44
    NOMEM = 48
    NOSPC = 51
    NOSYS = 52
    NOTDIR = 54
    NOTEMPTY = 55
    NOTSUP = 58
    NXIO = 60
    OVERFLOW = 61
    PERM = 63
    PIPE = 64
    ROFS = 69
    SPIPE = 70
    STALE = 72
    TXTBSY = 74
    XDEV = 75
    NOTCAPABLE = 76


class WasiError(Exception):
    """Ends a function with an error number."""

    def __init__(self, number: Errno) -> None:
        super().__init__(number)
        self.errno = number


_OF_SYSTEM = {
    number: Errno[name[1:]]
    for number, name in errno.errorcode.items()
    if name[1:] in Errno.__members__
} | {errno.E2BIG: Errno.TOOBIG}


def of_system(error: OSError) -> Errno:
    """The number for an error of the operating system; IO for those without one here."""
    return _OF_SYSTEM.get(error.errno or 0, Errno.IO)
