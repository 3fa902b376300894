"""Modules that are large in one way: they are run or refused in memory bounded by their size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instrument import instrument
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse
from tests.wasm.metered import ENGINES, Runner
from tests.wasm.support import is_valid, module, section, vector
from tests.wasm.test_attacks import END, NOTHING, admit, exports


def code_module(body: bytes, locals: bytes = b"\0") -> bytes:
    """A module of one function, "run"."""
    body = locals + body + END
    return module(
        section(1, vector([NOTHING])),
        section(3, b"\x01\0"),
        exports(("run", 0, 0)),
        section(10, vector([encode_unsigned(len(body)) + body])),
    )


def functions(bodies: list[bytes]) -> bytes:
    return module(
        section(1, vector([NOTHING])),
        section(3, encode_unsigned(len(bodies)) + bytes(len(bodies))),
        section(10, vector(encode_unsigned(len(body)) + body for body in bodies)),
    )


def many(id: int, count: int, item: bytes) -> bytes:
    return section(id, encode_unsigned(count) + item * count)


def distinct_stretches(count: int) -> bytes:
    """Code of so many stretches, of which no two have the same opcodes."""
    choices = (b"\x67", b"\x68", b"\x69", b"\x45", b"\xc0", b"\xc1", b"\x67\x01", b"\x68\x01")
    return b"".join(
        b"\x20\0" + b"".join(choices[number >> shift & 7] for shift in range(0, 18, 3)) + b"\x0d\0"
        for number in range(count)
    )


ONE_I32 = b"\x01\x01\x7f"
LARGE: dict[str, Callable[[int], bytes]] = {
    "small operators": lambda n: code_module(b"\x01" * n),
    "operators in pairs": lambda n: code_module(b"\x41\0\x1a" * (n // 3)),
    "distinct stretches": lambda n: code_module(distinct_stretches(n // 11), ONE_I32),
    "branches": lambda n: code_module(b"\x20\0\x0d\0" * (n // 4), ONE_I32),
    "calls": lambda n: code_module(b"\x10\0" * (n // 2)),
    "blocks": lambda n: code_module(b"\x02\x40\x0b" * (n // 3)),
    "nested blocks": lambda n: code_module(b"\x02\x40" * (n // 3) + END * (n // 3)),
    "nested loops": lambda n: code_module(b"\x03\x40" * (n // 3) + END * (n // 3)),
    "nested ifs": lambda n: code_module(b"\x20\0\x04\x40" * (n // 5) + END * (n // 5), ONE_I32),
    "dead code": lambda n: code_module(b"\0" + b"\x02\x40\x0c\0\x0b" * (n // 5)),
    "large tables": lambda n: code_module(
        (b"\x02\x40\x20\0\x0e" + encode_unsigned(20_000) + bytes(20_001) + END) * (n // 20_000),
        ONE_I32,
    ),
    "small tables": lambda n: code_module(b"\x02\x40\x20\0\x0e\x01\0\0\x0b" * (n // 9), ONE_I32),
    "tables of overlong labels": lambda n: code_module(
        (b"\x02\x40\x20\0\x0e\x7f" + b"\x80\x80\x80\x80\0" * 128 + END) * (n // 650), ONE_I32
    ),
    "functions": lambda n: functions([b"\0\x0b"] * (n // 4)),
    "functions of distinct locals": lambda n: functions(
        [b"\x01" + encode_unsigned(count) + b"\x7f\x41\x01\x0d\0\x0b" for count in range(n // 11)]
    ),
    "functions of large frames": lambda n: functions([b"\x01\xd0\x0f\x7f\x10\0\x0b"] * (n // 9)),
    "types": lambda n: module(many(1, n // 3, NOTHING)),
    "globals": lambda n: module(many(6, n // 5, b"\x7e\x01\x42\x00\x0b")),
    "elements": lambda n: module(
        many(1, 1, NOTHING), many(3, 1, b"\0"),
        section(9, b"\x01\x01\0" + encode_unsigned(n) + bytes(n)),
        section(10, b"\x01\x02\0\x0b"),
    ),
    "segments": lambda n: module(many(9, n // 5, b"\x01\0\0"), many(11, n // 5, b"\x01\0")),
    "exports": lambda n: module(
        many(1, 1, NOTHING), many(3, 1, b"\0"),
        exports(*((format(number, "x"), 0, 0) for number in range(n // 7))),
        section(10, b"\x01\x02\0\x0b"),
    ),
    "custom sections": lambda n: module(section(0, b"\0") * (n // 3)),
    "a name section": lambda n: functions([b"\0\x0b"])
    + section(0, b"\x04name\x01" + encode_unsigned(n) + b"x" * n),
    "data": lambda n: module(section(11, b"\x01\x01" + encode_unsigned(n) + bytes(n))),
}  # fmt: skip


REMEMBERED = 1 << 20
"""Of what is computed for one function, some is kept for the next."""


class TestSize:
    @pytest.mark.parametrize("name", LARGE)
    def test_memory_is_bounded(self, name: str) -> None:
        data = LARGE[name](20_000)
        assert is_valid(data)
        tracemalloc.start()
        try:
            parsed = parse(data)
            check_profile(parsed)
            result = instrument(parsed)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 160 * len(data) + REMEMBERED
        assert len(result.wasm) < 12 * len(data) + 200

    def test_a_br_table_of_a_million_labels_is_refused(self) -> None:
        labels = 1_000_000
        table = b"\x20\0\x0e" + encode_unsigned(labels) + bytes(labels + 1)
        with pytest.raises(ModuleCompilation):
            admit(code_module(table, ONE_I32))

    @pytest.mark.parametrize("run", ENGINES)
    def test_a_large_br_table_runs(self, run: Runner) -> None:
        labels = b"".join(encode_unsigned(number % 200) for number in range(60_001))
        table = b"\x41\xff\xff\x03\x0e" + encode_unsigned(60_000) + labels
        code = b"\x02\x40" * 200 + table + END * 200
        assert run(admit(code_module(code)).wasm, "run").paid == 1 + 2

    @pytest.mark.parametrize("run", ENGINES)
    def test_deep_nesting_runs(self, run: Runner) -> None:
        depth = 2_000
        code = b"\x02\x40\x41\0\x0d\0" * depth + b"\x0c" + encode_unsigned(depth) + END * depth
        assert run(admit(code_module(code)).wasm, "run").paid == 1 + 2 * depth + 1

    @pytest.mark.parametrize(
        "byte", [b"\x80", b"\xd2", b"\xfc", b"\xfd", b"\x0e", b"\x1c", b"\x43"]
    )
    def test_code_of_one_byte_is_refused_soon(self, byte: bytes) -> None:
        """Not in a time that grows with the square of the length: that were hours."""
        for code in (byte * 100_000, b"\x41" + byte * 100_000, (byte + b"\xff") * 50_000):
            with pytest.raises(ModuleCompilation):
                admit(code_module(code))
