"""A stand-in for a language model: it speaks the chat completions protocol, and fails in each way that a model can.

`python -m tests.support.chat_model 4690` starts one that answers each request.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a-key-of-the-stand-in"
MODEL = "stand-in-1"


@dataclass(frozen=True)
class Turn:
    """What the server does with one request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """None is a valid answer."""
    finish: str = "stop"
    counts: bool = True
    """Whether the answer has the number of tokens."""
    hangs: bool = False
    """Whether there is no answer until the server stops."""
    drops: bool = False
    """Whether the connection ends without an answer."""


ANSWERS = Turn()
REDIRECTS = Turn(307, {"location": "http://127.0.0.1:9/v1/chat/completions"})
ANSWERS_NO_JSON = Turn(body=b"<html>")
ANSWERS_NO_CHOICE = Turn(body=b'{"choices": []}')
ANSWERS_NOTHING = Turn(body=b'{"choices": [{"message": {"content": null}}]}')
ANSWERS_TOO_MUCH = Turn(body=b"x" * 1_000_001)
IS_CUT = Turn(finish="length")
DOES_NOT_COUNT = Turn(counts=False)
HANGS, DROPS = Turn(hangs=True), Turn(drops=True)


def busy(retry_after: str | None = None, *, status: int = 429) -> Turn:
    """Return a turn that sends the client away for a while."""
    return Turn(status, {} if retry_after is None else {"retry-after": retry_after}, b"{}")


def fails(status: int) -> Turn:
    """Return a turn that fails with this status."""
    return Turn(status, body=b'{"error": {"message": "a text that may quote the key"}}')


@dataclass
class StandIn:
    """A running server. It takes the first of `turns` for each request, and answers when there is none left."""

    endpoint: str
    turns: list[Turn] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests, in their order."""
    keys: list[str | None] = field(default_factory=list)
    """Their `Authorization` headers."""
    stopping: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stand_in(port: int = 0) -> Iterator[StandIn]:
    """Run a server on this port of the loopback interface, by default on a free one."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        def do_POST(self) -> None:
            """Answer by the next turn, if the request is one of the protocol."""
            body = self.rfile.read(int(self.headers["content-length"]))
            given = json.loads(body)
            if self.path != "/v1/chat/completions" or not {"model", "messages", "max_tokens"} <= given.keys():
                self._send(fails(400), given)
            elif self.headers["authorization"] not in {None, f"Bearer {KEY}"}:
                self._send(fails(401), given)
            else:
                running.requests.append(given)
                running.keys.append(self.headers["authorization"])
                self._send(running.turns.pop(0) if running.turns else ANSWERS, given)

        def _send(self, turn: Turn, given: dict[str, Any]) -> None:
            if turn.hangs:
                running.stopping.wait(300)
            if turn.hangs or turn.drops:
                self.close_connection = True
                return
            body = turn.body if turn.body is not None else _answer(given, turn)
            self.send_response(turn.status)
            for name, value in {**turn.headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    running = StandIn(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield running
    finally:
        running.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(given: dict[str, Any], turn: Turn) -> bytes:
    """Return an answer with the first words of the text."""
    text = given["messages"][-1]["content"]
    said = " ".join(text.strip("=\n").split()[:12])
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": given["model"],
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": f"It says: {said}"}, "finish_reason": turn.finish}
        ],
    }
    if turn.counts:
        prompt = sum(len(message["content"]) for message in given["messages"]) // 4
        answer["usage"] = {"prompt_tokens": prompt, "completion_tokens": 20, "total_tokens": prompt + 20}
    return json.dumps(answer).encode()


def main() -> int:
    """Run a server until it is interrupted."""
    with stand_in(int(sys.argv[1]) if sys.argv[1:] else 4690) as running:
        sys.stdout.write(f"AnalyzeEndpoint={running.endpoint} AnalyzeModel={MODEL}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
