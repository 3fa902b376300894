"""A headless Chromium, driven through a pipe by the DevTools protocol: no driver is needed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from select import select
from shutil import which
from types import TracebackType
from typing import Any

SECONDS = 60
"""After which an answer is not waited for any longer."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Chromium takes commands from descriptor 3 and answers on 4, each text ended by NUL.
_BOOTSTRAP = """\
import fcntl, os, sys
incoming, outgoing = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(incoming, 3)
os.dup2(outgoing, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""

_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)


def find_chromium() -> str | None:
    """The path of an installed one."""
    return next((path for name in NAMES if (path := which(name))), None)


class Chromium:
    """One page of a browser."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # Chromium's own sandbox refuses to work for root.
        unguarded = ("--no-sandbox",) if os.geteuid() == 0 else ()
        command = [sys.executable, "-c", _BOOTSTRAP, str(theirs_in), str(theirs_out), program]
        self._process = subprocess.Popen(
            [*command, *_OPTIONS, *unguarded, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb", buffering=0)
        self._pending = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        self.messages: list[str] = []
        """What the page logged, and errors of its script, since it was opened."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def open(
        self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        """Load a page, and wait until it is there."""
        phone = width < 600
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        # With a new fragment alone, the page would not be loaded again.
        self._navigate("about:blank")
        self.messages.clear()
        self._navigate(address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        done = self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def settle(self) -> None:
        """Wait until the page has handled what was done to it, and drawn it."""
        self.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r())))")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and release it. ``code`` is the virtual key code of Windows."""
        names = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        self._send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **names)
        self._send("Input.dispatchKeyEvent", type="keyUp", **names)
        self.settle()

    def insert(self, text: str) -> None:
        """Put text in where the focus is."""
        self._send("Input.insertText", text=text)
        self.settle()

    def without_scripts(self) -> None:
        """Pages that are opened from now on run no script of their own."""
        self._send("Emulation.setScriptExecutionDisabled", value=True)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as PNG."""
        shot = self._send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser."""
        self._out.close()
        self._in.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _navigate(self, address: str) -> None:
        self._loaded = False
        self._send("Page.navigate", url=address)
        while not self._loaded:
            self._note(self._receive())

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        self._out.write(json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select([self._in], [], [], SECONDS)
            assert ready, f"the browser did not answer within {SECONDS} s"
            more = self._in.read(1 << 16)
            if not more:
                raise AssertionError(f"the browser ended with {self._process.wait()}")
            self._pending += more
        text, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Page.loadEventFired":
            self._loaded = True
        elif message.get("method") == "Runtime.exceptionThrown":
            self.messages.append(str(told["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded":
            self.messages.append(told["entry"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.messages.append(str(told["args"]))
