"""The guest's memory during one call: each range is checked before anything is done."""

from __future__ import annotations

from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import MAX_VECTORS, VECTOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.host_functions import GuestMemory


class Memory:
    """A view of the memory; it cannot grow while a host function runs."""

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._size: int | None = None

    def check(self, offset: int, length: int) -> None:
        """Raise FAULT unless the range lies in the memory."""
        if self._size is None:
            self._size = self._memory.size()
        if offset + length > self._size:
            raise WasiError(Errno.FAULT)

    def read(self, offset: int, length: int) -> bytes:
        """A copy of the range, which the caller has bounded or the memory does."""
        self.check(offset, length)
        return self._memory.read(offset, length) if length else b""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of ``data``, or raise FAULT."""
        self.check(offset, len(data))
        if data:
            self._memory.write(offset, data)

    def write_u32(self, offset: int, value: int) -> None:
        """Write a number of 32 bits."""
        self.write(offset, value.to_bytes(4, "little"))

    def write_u64(self, offset: int, value: int) -> None:
        """Write a number of 64 bits."""
        self.write(offset, value.to_bytes(8, "little"))

    def text(self, offset: int, length: int, *, most: int) -> str:
        """A string of at most ``most`` bytes.

        Raises:
            WasiError: NAMETOOLONG, FAULT; ILSEQ if it is not UTF-8, INVAL if it has a NUL.
        """
        self.check(offset, length)
        if length > most:
            raise WasiError(Errno.NAMETOOLONG)
        try:
            text = self.read(offset, length).decode()
        except UnicodeDecodeError:
            raise WasiError(Errno.ILSEQ) from None
        if "\0" in text:
            raise WasiError(Errno.INVAL)
        return text

    def vectors(self, offset: int, count: int, *, most: int) -> list[tuple[int, int]]:
        """Buffers that a read or write names, as (offset, length), none of them empty.

        All are checked. What is beyond ``most`` bytes together is left out: reads and
        writes may do less than they are asked for.
        """
        if count > MAX_VECTORS:
            raise WasiError(Errno.INVAL)
        found = []
        for start, length in VECTOR.iter_unpack(self.read(offset, count * VECTOR.size)):
            self.check(start, length)
            length = min(length, most)
            if length:
                found.append((start, length))
                most -= length
        return found

    def gather(self, vectors: list[tuple[int, int]]) -> bytes:
        """The bytes of all buffers."""
        return b"".join(self.read(offset, length) for offset, length in vectors)

    def scatter(self, vectors: list[tuple[int, int]], data: bytes) -> None:
        """Fill the buffers, as far as ``data`` goes."""
        for offset, length in vectors:
            if not data:
                break
            self.write(offset, data[:length])
            data = data[length:]
