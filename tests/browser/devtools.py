"""A real Chromium over its own protocol: what takes real time, as workers do, and real keys."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromium

FLAGS = [flag for flag in chromium.FLAGS if not flag.startswith("--virtual")]
SECONDS = 120.0
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowRight": 39, "ArrowDown": 40}


class Tab:
    """A page, and everything that it said, asked for or failed at."""

    def __init__(self, answers: int, commands: int):
        self._answers, self._commands = answers, commands
        self._rest, self._sent = b"", 0
        self._session: str | None = None
        self.console: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """What the browser answers; AssertionError if it refuses or takes too long."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return self._answer(self._sent, method)

    def open(self, address: str, width: int = 1200, height: int = 900) -> None:
        """Open an address in a window of this size."""
        self.resize(width, height)
        self.call("Page.navigate", url=address)

    def resize(self, width: int, height: int = 900) -> None:
        """A narrow window is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def ask(self, expression: str) -> Any:
        """The value of JavaScript; a promise is waited for."""
        how = {"awaitPromise": True, "returnByValue": True}
        found = self.call("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = SECONDS) -> float:
        """Ask until it is so; how many seconds that took."""
        started = time.monotonic()
        while not self.ask(expression):
            assert time.monotonic() < started + seconds, f"never so: {expression}"
            time.sleep(0.02)
        return time.monotonic() - started

    def press(self, key: str) -> None:
        """A key, as a keyboard does it."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="rawKeyDown", **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _answer(self, number: int, method: str) -> Any:
        until = time.monotonic() + SECONDS
        while True:
            *whole, self._rest = self._rest.split(b"\0")
            told = [json.loads(one) for one in whole]
            for message in told:
                self._note(message.get("method"), message.get("params", {}))
            for message in told:
                if message.get("id") == number:
                    assert "error" not in message, message["error"]
                    return message["result"]
            ready = select.select([self._answers], [], [], until - time.monotonic())[0]
            assert ready, f"no answer to {method}"
            self._rest += os.read(self._answers, 1 << 20)

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        if event == "Runtime.consoleAPICalled":
            self.console.append(str([one.get("value") for one in params["args"]]))
        elif event == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


@contextmanager
def browser(command: str, folder: Path) -> Iterator[tuple[int, int]]:
    """A browser, whose profile is in `folder`: where a Tab reads answers and writes commands."""
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4.
    shell = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'
    arguments = [command, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *arguments],
        pass_fds=(read_commands, write_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    try:
        yield answers, commands
    finally:
        process.terminate()
        process.wait()
        os.close(answers)
        os.close(commands)
