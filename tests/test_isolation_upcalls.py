"""What a worker may say in place of a reply: that the guest calls a function of the host."""

from __future__ import annotations

from typing import Any

import pytest

from sen_host.backend import FuncType, HostFunction
from sen_host.isolation import replies
from sen_host.isolation.frames import Malformed

KEY = 5
PAGE = 65_536
NARROW = HostFunction("m", "narrow", FuncType(("i32",), ()), lambda *_: None)
WIDE = HostFunction("m", "wide", FuncType(("i64", "i32"), ("i32",)), lambda *_: 0)
IMPORTS = (NARROW, WIDE)


def test_a_call_that_is_one() -> None:
    assert replies.upcall((KEY, 0, (2**32 - 1,), PAGE), KEY, IMPORTS) == (
        NARROW,
        (2**32 - 1,),
        PAGE,
    )
    assert replies.upcall((KEY, 1, (2**64 - 1, 0), 2**32), KEY, IMPORTS) == (
        WIDE,
        (2**64 - 1, 0),
        2**32,
    )


@pytest.mark.parametrize(
    "items",
    [
        pytest.param((), id="nothing"),
        pytest.param((KEY, 0, (1,)), id="too short"),
        pytest.param((KEY, 0, (1,), PAGE, 0), id="too long"),
        pytest.param((KEY + 1, 0, (1,), PAGE), id="another instance"),
        pytest.param((None, 0, (1,), PAGE), id="no instance"),
        pytest.param((KEY, 2, (1,), PAGE), id="behind the last import"),
        pytest.param((KEY, -1, (1, 2), PAGE), id="before the first import"),
        pytest.param((KEY, 2**64 - 1, (1,), PAGE), id="a huge import"),
        pytest.param((KEY, False, (1,), PAGE), id="an import that is a bool"),
        pytest.param((KEY, 0.0, (1,), PAGE), id="an import that is a float"),
        pytest.param((KEY, "narrow", (1,), PAGE), id="an import by name"),
        pytest.param((KEY, 0, (), PAGE), id="no argument"),
        pytest.param((KEY, 0, (1, 2), PAGE), id="an argument too many"),
        pytest.param((KEY, 0, 1, PAGE), id="arguments that are no array"),
        pytest.param((KEY, 0, b"1", PAGE), id="arguments that are bytes"),
        pytest.param((KEY, 0, ("1",), PAGE), id="a text"),
        pytest.param((KEY, 0, (None,), PAGE), id="nil"),
        pytest.param((KEY, 0, (True,), PAGE), id="a bool"),
        pytest.param((KEY, 0, (1.0,), PAGE), id="a float"),
        pytest.param((KEY, 0, (-1,), PAGE), id="a negative argument"),
        pytest.param((KEY, 0, (2**32,), PAGE), id="more than 32 bits"),
        pytest.param((KEY, 1, (2**64, 0), PAGE), id="more than 64 bits"),
        pytest.param((KEY, 1, (0, 2**32), PAGE), id="more than 32 bits behind 64"),
        pytest.param((KEY, 0, (1,), None), id="no memory"),
        pytest.param((KEY, 0, (1,), -1), id="a negative memory"),
        pytest.param((KEY, 0, (1,), 2**32 + 1), id="a huge memory"),
    ],
)
def test_a_call_that_is_none_is_refused(items: tuple[Any, ...]) -> None:
    with pytest.raises(Malformed):
        replies.upcall(items, KEY, IMPORTS)


def test_a_guest_that_imports_nothing_calls_nothing() -> None:
    with pytest.raises(Malformed, match="imports none"):
        replies.upcall((KEY, 0, (1,), PAGE), KEY, ())
