"""On which line a key of a TOML document stands.

``tomllib`` gives the values alone, and an error in a value should name its
line. This reads a document that ``tomllib`` has accepted, so it need not judge
anything: it only has to know where strings, arrays and tables end.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from typing import NoReturn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_LINE_REST = re.compile(r"[^\n]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"""[^\s=.\]"'#]+""")
# A date and its time may be parted by one space.
_BARE_VALUE = re.compile(r"[^\s,\]}#]+(?: \d\d:[^\s,\]}#]*)?")


def key_lines(text: str) -> dict[Path, int]:
    """Map the path of each key and table of a valid document to its line, from 1.

    A path that occurs several times (a table extended by dotted keys, an array
    of tables) maps to its first line.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self.skip(_BLANK) < len(self.text):
            if self.text[self.position] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip(_LINE_REST)
        return self.lines

    def header(self) -> Path:
        start = self.position
        self.position += 2 if self.text.startswith("[[", start) else 1
        table = self.key()
        self.record((), table, start)
        return table

    def pair(self, table: Path) -> None:
        """One ``key = value``, at the position of the key."""
        start = self.position
        key = self.key()
        self.record(table, key, start)
        self.position += 1  # the equals sign
        self.value(table + key)

    def key(self) -> Path:
        """A dotted key and the space after it."""
        parts = []
        while True:
            self.skip(_SPACE)
            quoted = self.text[self.position] in "\"'"
            part = self.token(_STRING if quoted else _BARE_KEY)
            parts.append(_unquote(part) if quoted else part)
            self.skip(_SPACE)
            if self.text[self.position] != ".":
                return tuple(parts)
            self.position += 1

    def value(self, path: Path) -> None:
        self.skip(_SPACE)
        opening = self.text[self.position]
        if opening in "\"'":
            self.token(_STRING)
        elif opening in "[{":
            self.position += 1
            while self.text[self.skip(_BLANK)] not in "]}":
                if self.text[self.position] == ",":
                    self.position += 1
                elif opening == "[":
                    self.value(path)
                else:
                    self.pair(path)
            self.position += 1
        else:
            self.token(_BARE_VALUE)

    def record(self, table: Path, key: Path, start: int) -> None:
        line = bisect_right(self.newlines, start) + 1
        for length in range(1, len(key) + 1):
            self.lines.setdefault(table + key[:length], line)

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return self.position

    def token(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            self.lost()
        self.position = match.end()
        return match.group()

    def lost(self) -> NoReturn:
        raise AssertionError(f"not a valid TOML document at offset {self.position}")


def _unquote(key: str) -> str:
    if "\\" not in key:
        return key[1:-1]
    value: str = tomllib.loads(f"key = {key}")["key"]
    return value
