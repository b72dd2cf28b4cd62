"""Play the server's part in the cases of the clients' contract: `python3 clients/contract/server.py [PORT]`.

README.md beside this file describes the cases. It imports nothing but the standard library, so that the clients of every
language can use it.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CASES = Path(__file__).with_name("cases")
JOB = "7f0c0b1e-55aa-4d6c-9a52-6f1d2c3b4a50"
API = "/api/v1"
STORAGE = "/storage/"
RUNNING = {
    "asyncJobId": JOB,
    "jobType": "text.search",
    "status": "IN_PROGRESS",
    "progress": 0,
    "message": None,
    "metadata": None,
    "attempt": 1,
    "maxAttempts": 3,
    "createdAt": "2026-11-26T12:00:00.000Z",
    "updatedAt": "2026-11-26T12:00:01.000Z",
    "startedAt": "2026-11-26T12:00:01.000Z",
    "endedAt": None,
    "estimatedEndAt": None,
    "recordExpiresAt": 1796299200,
    "resultType": None,
    "result": None,
    "resultLocation": None,
    "error": None,
}
"""The record of a running job on a server of the last release, which the cases change."""

_UNEXPECTED = HTTPStatus.IM_A_TEAPOT
_HANG_SECONDS = 10


def names(folder: Path = CASES) -> list[str]:
    """Return the names of all cases."""
    return sorted(path.stem for path in folder.glob("*.json"))


def case(name: str, folder: Path = CASES) -> dict[str, Any]:
    """Return the case of this name."""
    read: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return read


@dataclass(frozen=True)
class Answer:
    """What the server sends: headers, of which `content-length` may promise more than the body, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


def answer_of(described: Mapping[str, Any], base: str) -> Answer:
    """Return the answer that a case describes."""
    headers = {name: value.replace("{base}", base) for name, value in described.get("headers", {}).items()}
    if "problem" in described:
        problem = described["problem"]
        body: Any = {"type": f"urn:asyncjobs:{problem['code']}", "title": "A problem", "detail": "Do it.", "requestId": "r-1"}
        return _json(problem["status"], {"content-type": "application/problem+json", **headers}, {**body, **problem})
    if "job" in described:
        return _json(described["status"], {"content-type": "application/json", **headers}, RUNNING | described["job"])
    if "jobs" in described:
        page = {"jobs": [RUNNING | job for job in described["jobs"]], "nextCursor": described["nextCursor"]}
        return _json(described["status"], {"content-type": "application/json", **headers}, page)
    if "body" in described:
        filled = json.loads(json.dumps(described["body"]).replace("{base}", base))
        return _json(described["status"], {"content-type": "application/json", **headers}, filled)
    whole = described.get("text", "").encode()
    sent = whole[: described["cut"]] if "cut" in described else whole
    length = {} if described["status"] in {204, 304} else {"content-length": str(len(whole))}
    return Answer(described["status"], {**length, **headers}, sent, is_cut=sent != whole)


def _json(status: int, headers: Mapping[str, str], value: object) -> Answer:
    body = json.dumps(value).encode()
    return Answer(status, {"content-length": str(len(body)), **headers}, body)


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Session:
    """One run of a case."""

    base: str
    exchanges: list[dict[str, Any]]
    problems: list[str] = field(default_factory=list)
    _bound: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, name: str, base: str) -> Session:
        """Begin a case."""
        described = case(name)["exchanges"]
        return cls(base, [each for each in described for _ in range(each.get("times", 1))])

    def next(self, received: Received) -> dict[str, Any] | None:
        """Return the description of the answer to this request, or None if it is not the expected one."""
        with self.lock:
            if not self.exchanges:
                self.problems.append(f"{received.method} {received.path} came after the last exchange")
                return None
            expected = self.exchanges[0]
            found = list(self._differences(expected["request"], received))
            if found:
                self.problems += found
                return None
            self.exchanges.pop(0)
            answer: dict[str, Any] = expected["answer"]
            return answer

    def verdict(self) -> dict[str, Any]:
        """Return what was wrong with the requests, and how many were not sent."""
        return {"problems": self.problems, "left": len(self.exchanges)}

    def answer(self, received: Received) -> Answer | str:
        """Return the answer to a request, or the name of its fault."""
        described = self.next(received)
        if described is None:
            return _json(_UNEXPECTED, {}, {"message": self.problems[-1]})
        fault: str = described.get("fault", "")
        return fault or answer_of(described, self.base)

    def _differences(self, expected: Mapping[str, Any], received: Received) -> Iterator[str]:
        where = f"{expected['method']} {expected['path']}"
        path = expected["path"].replace("{job}", JOB)
        wanted = path if path.startswith(STORAGE) else API + path
        if (received.method, received.path) != (expected["method"], wanted):
            yield f"{where} was expected, and {received.method} {received.path} came"
            return
        query = sorted((name, str(value)) for name, value in expected.get("query", {}).items())
        if sorted(received.query) != query:
            yield f"{where} has the query {received.query}, not {query}"
        yield from self.differences_of_content(expected, received)

    def differences_of_content(self, expected: Mapping[str, Any], received: Received) -> Iterator[str]:
        """Yield what is wrong with the headers and the body of a request to the expected place."""
        where = f"{expected['method']} {expected['path']}"
        token = received.headers.get("authorization", "")
        if token.startswith("Bearer ") == received.path.startswith(STORAGE):
            yield f"{where} has the authorization {token!r}"
        for name, value in expected.get("headers", {}).items():
            yield from self._difference(f"{where}: header {name}", value, received.headers.get(name))
        if "body" in expected:
            yield from self._difference(f"{where}: body", expected["body"], json.loads(received.body or b"null"))
        if "text" in expected:
            yield from self._difference(f"{where}: body", expected["text"], received.body.decode())
        if "paused" in expected:
            least, most = expected["paused"]
            paused = float(received.headers.get("contract-paused", "nan"))
            if not least <= paused <= most:
                yield f"{where} came after a pause of {paused} s, not {least} to {most} s"

    def _difference(self, where: str, expected: object, received: object) -> Iterator[str]:
        match expected, received:
            case str(), str() if name := re.fullmatch(r"\{(\w+)\}", expected):
                if self._bound.setdefault(name[1], received) != received:
                    yield f"{where} is {received!r}, not {self._bound[name[1]]!r} as before"
            case dict(), dict() if expected.keys() == received.keys():
                for key, value in expected.items():
                    yield from self._difference(f"{where}/{key}", value, received[key])
            case _ if expected != received:
                yield f"{where} is {received!r}, not {expected!r}"


class FaultServer(ThreadingHTTPServer):
    """The server of all sessions."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.sessions: dict[str, Session] = {}
        self._numbers = itertools.count(1)

    def begin(self, name: str) -> str:
        """Begin a case and return the session's name."""
        session = f"s{next(self._numbers)}"
        self.sessions[session] = self.session_of(name, f"{self.url}/{session}")
        return session

    def session_of(self, name: str, base: str) -> Session:
        """Return a new run of a case."""
        return Session.of(name, base)

    def verdict(self, session: str) -> dict[str, Any]:
        """Return what was wrong with a session's requests, and how many were not sent."""
        return self.sessions[session].verdict()

    def handle_error(self, *_: object) -> None:
        """Ignore clients that close their connection."""


class Handler(BaseHTTPRequestHandler):
    """Finds the session of a request and sends its answer."""

    server: FaultServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet

    def _answer(self) -> None:
        url = urlsplit(self.path)
        _, first, *_ = url.path.split("/")
        body = self._body()
        if first == "sessions":
            self._sessions(url.path.removeprefix("/sessions").removeprefix("/"), body)
            return
        session = self.server.sessions[first]
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qsl(url.query, keep_blank_values=True)
        match session.answer(Received(self.command, url.path.removeprefix(f"/{first}"), query, headers, body)):
            case "drop":
                self.close_connection = True
            case "hang":
                self._hang()
            case Answer() as answer:
                self._send(answer)
            case fault:
                raise ValueError(fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of the base class

    def _sessions(self, session: str, body: bytes) -> None:
        if session:
            self._send(_json(200, {}, self.server.verdict(session)))
        else:
            begun = self.server.begin(json.loads(body)["case"])
            self._send(_json(201, {}, {"session": begun, "url": self.server.sessions[begun].base}))

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _hang(self) -> None:
        self.close_connection = True
        self.connection.settimeout(_HANG_SECONDS)
        self.rfile.read(1)  # ends when the client closes the connection

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if answer.is_cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serve(port: int = 0) -> Iterator[FaultServer]:
    """Serve inside the `with` block."""
    with FaultServer(port) as server, running(server):
        yield server


@contextmanager
def running(server: FaultServer) -> Iterator[None]:
    """Run a server inside the `with` block."""
    thread = threading.Thread(target=_forever(server), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _forever(server: FaultServer) -> Callable[[], None]:
    return lambda: server.serve_forever(poll_interval=0.02)


if __name__ == "__main__":
    with FaultServer(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as served:
        print(served.url, flush=True)
        served.serve_forever()
