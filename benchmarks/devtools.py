"""Chromium without a window, spoken to over a pipe: https://chromedevtools.github.io/devtools-protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def browser_program() -> str | None:
    """Return where a browser is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(slots=True)
class Page:
    """A page that is open in the browser, and what the browser told of it."""

    send_to: int
    read_from: int
    session: str = ""
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    _number: int = 0
    _buffer: bytes = b""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the browser's answer."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.send_to, json.dumps(command).encode() + b"\0")
        while (message := self._message()).get("id") != self._number:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def wait_for(self, event: str) -> None:
        """Wait until the browser tells of an event."""
        while (message := self._message()).get("method") != event:
            self._note(message)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def show(self, file: Path, *, width: int, scheme: str, medium: str = "") -> None:
        """Open a file in a window of some width, in the light or the dark scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)
        self.call("Page.navigate", url=file.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def screenshot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = os.read(self.read_from, 1 << 20)
            if not read:
                raise RuntimeError("The browser has gone.")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Log.entryAdded":
                self.messages.append(f"{told['entry']['level']}: {told['entry']['text']}")
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.messages.append(json.dumps(told))


@contextmanager
def open_browser(program: str) -> Iterator[Page]:
    """Start a browser with an empty page, and end it."""
    to_browser, from_browser = os.pipe(), os.pipe()
    with TemporaryDirectory(prefix="browser-") as profile:
        arguments = [
            program,
            "--headless",
            "--no-sandbox",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            *_QUIET,
        ]
        # The protocol's descriptors are 3 and 4.
        script = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        command = ["bash", "-c", script, str(to_browser[0]), str(from_browser[1]), *arguments]
        process = subprocess.Popen(
            command, pass_fds=(to_browser[0], from_browser[1]), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        page = Page(to_browser[1], from_browser[0])
        try:
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.call(f"{domain}.enable")
            yield page
        finally:
            os.close(to_browser[1])
            process.terminate()
            process.wait(30)
            os.close(from_browser[0])
