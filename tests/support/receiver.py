"""A receiver of webhooks on this machine, which verifies each request by the reference library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError


@dataclass(frozen=True)
class Received:
    """A request. `event` is None if no secret of the receiver has signed it."""

    headers: dict[str, str]
    body: bytes
    event: dict[str, Any] | None

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """Answers by `answer`, which gets each request with its number from 0, and is 204 by default."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    answer: Callable[[Received, int], Answer] = lambda _received, _number: (204, {})
    received: list[Received] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        found = Received(headers, body, self._verified(headers, body))
        with self._lock:
            number = len(self.received)
            self.received.append(found)
        return self.answer(found, number)

    def _verified(self, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
        for secret in self.secrets:
            try:
                event: dict[str, Any] = Verifier(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
            return event
        return None

    def about(self, async_job_id: str) -> list[Received]:
        """Return the verified requests about this job."""
        with self._lock:
            return [each for each in self.received if each.event and each.event["data"].get("asyncJobId") == async_job_id]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Start a receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/events"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
