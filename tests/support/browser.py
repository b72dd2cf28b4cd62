"""Chromium without a window, driven through a pipe. Debian's package is enough: no driver, no library."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    # What this process would otherwise draw and run for nobody: a first window, the lists below its address bar, and a spare
    # process for the next page. They take three times as much of the processor as the rest of a start.
    "--no-startup-window",
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess",
)
_READS, _WRITES = 3, 4
"""The descriptors at which the browser reads commands and writes answers."""


class PageLeft(Exception):
    """The page was left while a script of it ran."""


class Connection:
    """The pipe to the browser's process. A command waits for its answer; events are not read."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        self._received = b""

    def send(self, method: str, parameters: Mapping[str, Any], *, session: str = "") -> dict[str, Any]:
        """Send a command to the browser, or to the tab of the session, and return its result."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise PageLeft
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], 300)
            part = os.read(self._answers, 1 << 16) if ready else b""
            if not part:
                raise RuntimeError("The browser says nothing.")
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


class Browser:
    """One tab of it."""

    def __init__(self, connection: Connection, storage: Mapping[str, str] = MappingProxyType({})) -> None:
        self._connection = connection
        self._storage = storage
        target = connection.send("Target.createTarget", {"url": "about:blank", "newWindow": True, **storage})["targetId"]
        self._session = connection.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        # Each tab has the focus: a key goes to none while the browser gives it to another window, as when it closes one.
        self._send("Emulation.setFocusEmulationEnabled", enabled=True)

    @contextmanager
    def another_user(self) -> Iterator[Browser]:
        """Open a tab with cookies and storage of its own, which ends with the block. It starts no process of the browser."""
        storage = self._connection.send("Target.createBrowserContext", {})
        yield Browser(self._connection, storage)
        self._connection.send("Target.disposeBrowserContext", storage)

    def another_tab(self) -> Browser:
        """Open a tab of the same user, in a window of its own: both are shown."""
        return Browser(self._connection, self._storage)

    def open(self, url: str) -> None:
        """Go there, and wait until the page is complete."""
        self._send("Page.navigate", url=url)
        self.wait_for("document.readyState == 'complete' && location.href != 'about:blank'")

    def run(self, script: str) -> Any:
        """Return the value of the script's last expression, awaited if it is a promise."""
        answer = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, *, seconds: float = 120) -> None:
        """Look until the condition holds: often at first, and less often in a long wait."""
        deadline, pause = time.monotonic() + seconds, 0.02
        while not self._holds(condition):
            assert time.monotonic() < deadline, (
                f"{condition} at {self.run('location.href')}:\n{self.run('document.body.innerText')}"
            )
            time.sleep(pause)
            pause = min(0.25, 1.2 * pause)

    def _holds(self, condition: str) -> bool:
        with suppress(PageLeft):
            return bool(self.run(f"Boolean({condition})"))
        return False

    def press(self, key: str) -> None:
        """Press and release a key, as a person does: `Tab`, `Enter`."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}.get(key) or ord(key.upper()[0])
        text = {"Enter": {"text": "\r"}}.get(key) or ({"text": key} if len(key) == 1 else {})
        for kind in ("keyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that matches, once it is shown, as a person does with a mouse."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        find = f"const found = document.querySelector({json.dumps(selector)}); found.scrollIntoView({{block: 'center'}});"
        box = self.run(
            f"{{ {find} const box = found.getBoundingClientRect(); [box.x + box.width / 2, box.y + box.height / 2] }}"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def activate(self, found: str, *, seconds: float = 120) -> None:
        """Activate the element that the expression finds, once it does."""
        self.wait_for(found, seconds=seconds)
        self.run(f"{found}.click()")

    def type(self, text: str) -> None:
        """Type the text into the element that has the focus."""
        self._send("Input.insertText", text=text)

    def resize(self, width: int, height: int, *, scale: float = 1) -> None:
        """Make the page so large, until the next call."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def prefer(self, **features: str) -> None:
        """Set media features, such as `prefers_color_scheme="dark"`."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self._send("Emulation.setEmulatedMedia", features=named)

    def before_each_page(self, script: str) -> None:
        """Run the script in each page that is loaded from now on, before its own."""
        self._send("Page.enable")
        self._send("Page.addScriptToEvaluateOnNewDocument", source=script)

    def offline(self, *, is_offline: bool) -> None:
        """Cut the network of the page, or restore it."""
        self._send("Network.enable")
        rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._send("Network.emulateNetworkConditions", offline=is_offline, **rates)

    def capture(self, file: Path) -> None:
        """Write what the page shows now."""
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def accessible(self) -> list[dict[str, Any]]:
        """Return what a screen reader finds on the page, also inside elements: each role, name, description and value."""
        nodes = self._send("Accessibility.getFullAXTree")["nodes"]
        members = ("role", "name", "value")
        return [
            {member: node[member].get("value") for member in members if member in node} for node in nodes if not node["ignored"]
        ]

    def screenshot(self, file: Path, *, width: int, height: int) -> None:
        """Write what a page of that size shows."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=False)
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))
        self._send("Emulation.clearDeviceMetricsOverride")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._connection.send(method, parameters, session=self._session)


@contextmanager
def chromium(profile: Path, *, options: Sequence[str] = ()) -> Iterator[Browser]:
    """Start a browser with a new profile, which ends with the block. Skip the test if there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("This test needs Chromium: apt-get install chromium")
    reads_commands, commands = os.pipe()
    answers, writes_answers = os.pipe()
    log = os.open(profile.with_suffix(".log"), os.O_WRONLY | os.O_CREAT)
    # High numbers first, or one of these would be overwritten by the next.
    high = [os.dup2(descriptor, 100 + descriptor) for descriptor in (reads_commands, writes_answers, log)]
    at = [(os.POSIX_SPAWN_DUP2, descriptor, place) for descriptor, place in zip(high, (_READS, _WRITES, 2), strict=True)]
    arguments = [program, *_OPTIONS, f"--user-data-dir={profile}", *options]
    pid = os.posix_spawn(program, arguments, os.environ, file_actions=at, setpgroup=0)
    for descriptor in (*high, reads_commands, writes_answers, log):
        os.close(descriptor)
    try:
        connection = Connection(commands, answers)
        yield Browser(connection)
        connection.send("Browser.close", {})
    finally:
        os.close(commands)
        os.close(answers)
        _end(pid)


def _end(pid: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)
    with suppress(ProcessLookupError):  # its helpers, if they are slow to follow
        os.killpg(pid, signal.SIGKILL)
