"""The last release's clients, as users installed them, and the traffic between them and the last release's server.

`tests/clients/released` has a wheel, a tarball, a program that a user wrote for each, and what the server of that release answered.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.contract import proxy, server
from tests.support.node import CLIENT, node
from tests.template.source import ROOT

RELEASED = ROOT / "tests/clients/released"
LANGUAGES = ("python", "javascript")
EXPECTED = {
    "types": True,
    "quick": True,
    "slow": "attempt 1",
    "updates": [True, "COMPLETED", 1],
    "events": True,
    "key": [True, True, "COMPLETED", True],
    "list": ["sample.returns", "sample.works"],
    "failed": ["HOPELESS", "FAILED", "FAILED"],
    "left": ["CANCELLED", True],
    "deleted": [True, "JOB_NOT_FOUND"],
    "download": 3002,
    "result": 3000,
    "upload": True,
    "invalid": ["INVALID_REQUEST", "/input/query"],
    "tracked": {"rows": 7},
}
"""What the programs print, whatever the versions of the client and of the server."""

_SECRETS = ((re.compile(r"\?X-Amz-[^\"\s]+"), "?signed"), (re.compile(r"\baj[a-z]_[\w-]+"), "recorded"))
_RECORDED_HEADERS = {
    "apigw-requestid",
    "content-type",
    "etag",
    "idempotency-replayed",
    "location",
    "preference-applied",
    "retry-after",
}
_NO_ROUTE = server.Answer(404, {"content-type": "application/json"}, b'{"message":"Not Found"}')


def ran(language: str, url: str, token: str, *, is_released: bool, folder: Path) -> dict[str, Any]:
    """Run the program of the last release with its own client or with the present one, and return what it printed."""
    environment = {"ASYNCJOBS_URL": url, "ASYNCJOBS_TOKEN": token, "NO_PROXY": "*"}
    run = {"python": _ran_in_python, "javascript": _ran_in_node}[language]
    found: dict[str, Any] = json.loads(run(environment, is_released, folder))
    place = folder if is_released else ROOT / "clients"
    assert Path(found.pop("client")).resolve().is_relative_to(place.resolve()), "another client was used"
    return found


def _ran_in_python(environment: dict[str, str], is_released: bool, folder: Path) -> str:
    path = ROOT / "clients/python"
    if is_released:
        path = folder / "python"
        (wheel,) = RELEASED.glob("*.whl")
        subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(path)], check=True)
    command = [sys.executable, str(RELEASED / "program.py")]
    done = subprocess.run(
        command, env={**os.environ, **environment, "PYTHONPATH": str(path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _ran_in_node(environment: dict[str, str], is_released: bool, folder: Path) -> str:
    package = folder / "node_modules/@asyncjobs/client"
    package.parent.mkdir(parents=True)
    if is_released:
        (tarball,) = RELEASED.glob("*.tgz")
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
        (folder / "package").rename(package)
    else:
        package.symlink_to(CLIENT)
    (folder / "package.json").write_text('{"type": "module"}')
    program = folder / "program.js"
    program.write_text((RELEASED / "program.js").read_text())
    return node(program, cwd=folder, environment=environment)


@dataclass
class Recorded(proxy.Relayed):
    """A session against a real API whose answers are kept."""

    answers: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, received: server.Received) -> server.Answer | str:
        """Return the real answer, and keep it without secrets."""
        answer = super().answer(received)
        assert isinstance(answer, server.Answer)
        headers = {name: self._kept(value) for name, value in answer.headers.items() if name in _RECORDED_HEADERS}
        kept = {"request": f"{received.method} {received.path}", "status": answer.status, "headers": headers}
        with self.lock:
            self.answers.append({**kept, "body": self._kept(answer.body.decode())})
        return answer

    def _kept(self, text: str) -> str:
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text.replace(self.base, "{base}")


@dataclass
class Replayed(server.Session):
    """A session with a recorded server. Between two writes, a read gets what was read then, the last answer repeatedly.

    So it does not matter how often a client polls, which depends on how fast this machine is.
    """

    answers: list[dict[str, Any]] = field(default_factory=list)
    _number: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _written: int = -1
    """The place of the last write in the recording."""

    def answer(self, received: server.Received) -> server.Answer | str:
        """Return the next recorded answer; that of a gateway for a route that no recorded request names."""
        request = f"{received.method} {received.path}"
        places = [place for place, each in enumerate(self.answers) if each["request"] == request]
        if not places:
            return _NO_ROUTE
        with self.lock:
            if received.method == "GET":
                described = self.answers[self._read(request, places)]
            else:
                self._written = self._next(request, places)
                described = self.answers[self._written]
        filled = json.loads(json.dumps(described).replace("{base}", self.base))
        body = filled["body"].encode()
        length = {} if filled["status"] in {204, 304} else {"content-length": str(len(body))}
        return server.Answer(filled["status"], {**filled["headers"], **length}, body)

    def _read(self, request: str, places: list[int]) -> int:
        later = (
            place
            for place in range(self._written + 1, len(self.answers))
            if not self.answers[place]["request"].startswith("GET")
        )
        end = next(later, len(self.answers))
        now = [place for place in places if self._written < place < end]
        before = [place for place in places if place < self._written]
        return self._next(f"{request} after {self._written}", now or before[-1:] or places)

    def _next(self, request: str, places: list[int]) -> int:
        number = min(self._number[request], len(places) - 1)
        self._number[request] += 1
        return places[number]


@contextmanager
def recording(upstream: str) -> Iterator[Recorded]:
    """Stand against a real API inside the `with` block, and keep what it answers."""
    with proxy.serve(upstream) as running:
        session = Recorded(f"{running.url}/recorded", [], upstream=proxy.Upstream(upstream))
        running.sessions["recorded"] = session
        yield session


@contextmanager
def replaying(language: str) -> Iterator[Replayed]:
    """Answer as the last release's server did, inside the `with` block."""
    with server.serve() as running:
        session = Replayed(f"{running.url}/replayed", [], answers=json.loads(recording_of(language).read_text()))
        running.sessions["replayed"] = session
        yield session


def recording_of(language: str) -> Path:
    """Return the file with what the last release's server answered to its client of this language."""
    return RELEASED / f"{language}.json"
