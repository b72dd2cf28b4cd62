"""Stand between a client and a real API, and cause the faults of a case. README.md beside this file describes those in `deployed/`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from clients.contract import server
from clients.contract.server import API, STORAGE, Answer, Received

CASES = Path(__file__).with_name("deployed")
_HOP_BY_HOP = {"connection", "contract-paused", "host", "keep-alive", "transfer-encoding"}
_PATIENCE = 120
_WITHOUT_BODY = {204, 304}


names, case = partial(server.names, CASES), partial(server.case, folder=CASES)


@dataclass(frozen=True)
class Upstream:
    """The real API, at an address of HTTP, and the storage beside it."""

    url: str

    @property
    def origin(self) -> str:
        """The address of the storage, whose links are signed for this host."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.url))

    def answer(self, received: Received) -> Answer:
        """Return the real answer to a request."""
        is_storage = received.path.startswith(STORAGE)
        where = received.path.removeprefix(STORAGE.rstrip("/")) if is_storage else urlsplit(self.url).path + received.path
        query = f"?{urlencode(received.query)}" if received.query else ""
        headers = {name: value for name, value in received.headers.items() if name not in _HOP_BY_HOP}
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=_PATIENCE)
        try:
            connection.request(received.method, where + query, body=received.body or None, headers=headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


@dataclass
class Relayed(server.Session):
    """One run of a case against the real API. Requests that no exchange names are forwarded."""

    upstream: Upstream = field(kw_only=True)
    lacks: tuple[str, ...] = ()
    """Members of records that a server of the last release does not have."""
    requests: Counter[str] = field(default_factory=Counter)

    def answer(self, received: Received) -> Answer | str:
        """Return the real answer, or what the case has in its place."""
        exchange = self._exchange(received)
        for earlier in exchange.get("before", ()):
            self._send_before(earlier, received)
        described = exchange.get("answer", {"cut": None})
        if "cut" in described:
            return _cut(self._readdressed(self.upstream.answer(received), received), described["cut"])
        if exchange.get("arrives"):
            self.upstream.answer(received)
        fault: str = described.get("fault", "")
        return fault or server.answer_of(described, self.base)

    def verdict(self) -> dict[str, Any]:
        """Return what was wrong with the requests, how many exchanges did not happen, and how many requests came by route."""
        return {**super().verdict(), "requests": dict(self.requests)}

    def _exchange(self, received: Received) -> Mapping[str, Any]:
        """Return the next exchange for the route of this request, if there is one."""
        with self.lock:
            self.requests[f"{received.method} {_route(received.path)}"] += 1
            for number, exchange in enumerate(self.exchanges):
                expected = exchange["request"]
                if (expected["method"], expected["path"]) == (received.method, _route(received.path)):
                    self.problems += self.differences_of_content(expected, received)
                    return self.exchanges.pop(number)
            anything = {"method": received.method, "path": received.path}
            self.problems += self.differences_of_content(anything, received)
            return {}

    def _send_before(self, earlier: Mapping[str, str], received: Received) -> None:
        """Send a request with the same token, about the same job."""
        found = re.search("/jobs/([^/]+)", received.path)
        path = API + earlier["path"].replace("{job}", found[1] if found else "")
        headers = {"authorization": received.headers["authorization"]}
        answer = self.upstream.answer(Received(earlier["method"], path, [], headers, b""))
        if answer.status >= 400:  # noqa: PLR2004 - the first error
            self.problems.append(f"{earlier['method']} {path} before is {answer.status}")

    def _readdressed(self, answer: Answer, received: Received) -> Answer:
        """Return the answer with addresses that lead through this proxy, and as a server without some members gives it."""
        headers = {
            **answer.headers,
            **({"location": self._address(value)} if (value := answer.headers.get("location")) else {}),
        }
        body = answer.body
        if body and not received.path.startswith(STORAGE):
            body = self._address(body.decode()).encode()
            if self.lacks:
                body = self._without(body)
        length = {} if answer.status in _WITHOUT_BODY else {"content-length": str(len(body))}
        return Answer(answer.status, {**headers, **length}, body)

    def _address(self, text: str) -> str:
        text = text.replace(self.upstream.url, self.base)
        return text.replace(f"{self.upstream.origin}/", f"{self.base}{STORAGE}")

    def _without(self, body: bytes) -> bytes:
        value = json.loads(body)
        for record in (value, *value.get("jobs", ())):
            for name in self.lacks:
                record.pop(name, None)
        return json.dumps(value).encode()


def _route(path: str) -> str:
    """Return the path of a case: below the API, with `{job}` in the place of an id; or that of any object."""
    if path.startswith(STORAGE):
        return STORAGE
    return re.sub("^/jobs/[^/]+", "/jobs/{job}", path.removeprefix(API))


def _cut(answer: Answer, length: int | None) -> Answer:
    return answer if length is None else replace(answer, body=answer.body[:length], is_cut=True)


class FaultProxy(server.FaultServer):
    """The proxy of all sessions."""

    def __init__(self, upstream: str, port: int = 0) -> None:
        super().__init__(port)
        self._upstream = Upstream(upstream)

    def session_of(self, name: str, base: str) -> Relayed:
        """Return a new run of a case."""
        described = case(name)
        exchanges = [each for each in described["exchanges"] for _ in range(each.get("times", 1))]
        return Relayed(base, exchanges, upstream=self._upstream, lacks=tuple(described.get("lacks", ())))


@contextmanager
def serve(upstream: str) -> Iterator[FaultProxy]:
    """Serve inside the `with` block."""
    with FaultProxy(upstream) as proxy, server.running(proxy):
        yield proxy
