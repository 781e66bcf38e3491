"""A real Chromium without a screen, as its own command line drives it."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",  # time is virtual: a smooth scroll would never arrive
    "--virtual-time-budget=120000",
    "--enable-logging=stderr",
)
SECONDS = 300
NO_PAGE = "not an origin"


def find() -> str | None:
    """The browser's command, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Visit:
    """A page after its scripts have run."""

    dom: str
    console: list[str]
    """What the page had to say: its warnings and errors."""
    requests: list[str]
    """Addresses that the browser asked a network for, our own server aside."""


def visit(command: str, address: str, folder: Path) -> Visit:
    """Open an address; `folder` is for the browser's profile and its log of the network."""
    log = folder / "net.json"
    profile = f"--user-data-dir={folder / 'profile'}"
    arguments = [command, *FLAGS, profile, f"--log-net-log={log}", "--dump-dom", address]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=True)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    return Visit(done.stdout, console, _requests(log, address))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP on this machine, so that a page may look into a frame of it."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _requests(log: Path, address: str) -> list[str]:
    """What the page asked for; the browser's own requests, for updates and the like, have no page.

    Nor does the address that was opened itself.
    """
    server = "/".join(address.split("/")[:3]) if address.startswith("http") else "none"
    starts = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = {one["url"] for one in starts if one.get("initiator", NO_PAGE) != NO_PAGE}
    return sorted(url for url in asked if not url.startswith((server, "data:", "file:")))
