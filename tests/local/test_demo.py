"""The output of `make run`."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.server import ServerConnection, serve

from local import demo
from local.demo import ProgressBar, client, curl, states, summary
from local.errors import DemonstrationError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job(status: str, progress: int, message: str = "Reading page 2 of 4") -> dict[str, object]:
    return {"asyncJobId": "1", "status": status, "progress": progress, "message": message}


def test_terminal_shows_one_line_that_is_rewritten() -> None:
    out = Terminal()
    bar = ProgressBar(out)
    bar.show(job("IN_PROGRESS", 50))
    bar.show(job("COMPLETED", 100))
    bar.end()
    assert out.getvalue().count("\r") == 2
    assert out.getvalue().count("\n") == 1
    assert "[################................]  50 %  Reading page 2 of 4" in out.getvalue()


@pytest.mark.parametrize("message", ["\x1b]0;a title\x07", "\nStatus   COMPLETED", "\r\x9b2J", "\u202e"], ids=ascii)
def test_message_of_a_job_stays_in_its_line(message: str) -> None:
    out = Terminal()
    ProgressBar(out).show(job("IN_PROGRESS", 50, message))
    assert out.getvalue().removeprefix("\r\x1b[K").isprintable()


def test_text_of_a_document_stays_in_its_line() -> None:
    ended = {"status": "COMPLETED", "createdAt": "2026-11-26T06:00:00.000Z", "endedAt": "2026-11-26T06:00:03.456Z"}
    pages = [{"page": 1, "text": "\x1b[2J\u202e"}]
    assert summary(ended, {"pageCount": 1, "wordCount": 1, "pages": pages}).replace("\n", "").isprintable()


def test_file_has_one_line_for_each_status() -> None:
    out = io.StringIO()
    bar = ProgressBar(out)
    for status, progress in (("PENDING", 0), ("IN_PROGRESS", 10), ("IN_PROGRESS", 50), ("COMPLETED", 100)):
        bar.show(job(status, progress))
    bar.end()
    assert out.getvalue().split() == ["PENDING", "IN_PROGRESS", "COMPLETED"]


def test_printed_curl_fetches_its_token() -> None:
    assert curl("http://127.0.0.1:1/x", "alice", job("COMPLETED", 100)) == (
        'curl -s -H "Authorization: Bearer $(make -s token USER=alice)" http://127.0.0.1:1/x/api/v1/jobs/1'
    )


def test_result_is_shown_in_two_lines() -> None:
    ended = {"status": "COMPLETED", "createdAt": "2026-11-26T06:00:00.000Z", "endedAt": "2026-11-26T06:00:03.456Z"}
    pages = [{"page": number, "text": "Day 1\n" + "06:30 The brig came in. " * 40} for number in range(400)]
    status, result = summary(ended, {"pageCount": 400, "wordCount": 241_234, "pages": pages}).splitlines()
    assert status == "COMPLETED after 3.5 s"
    assert result.startswith("400 pages, 241,234 words: Day 1 06:30 The brig came in. 06:30")
    assert len(result) < 120


def test_client_command_names_the_api_and_gets_a_token() -> None:
    assert client("http://127.0.0.1:1/x", "alice") == (
        "PYTHONPATH=clients/python ASYNCJOBS_URL=http://127.0.0.1:1/x ASYNCJOBS_TOKEN=$(make -s token USER=alice)"
        " .venv/bin/python -m asyncjobs_client run text.search query=lease"
    )


@contextmanager
def connection_that_shows(status: str) -> Iterator[str]:
    """Return the URL of a connection that answers each watch with the job in that status."""

    def answer(connection: ServerConnection) -> None:
        for _ in connection:
            connection.send(json.dumps({"snapshot": {**job(status, 100), "seq": 1}}))

    with serve(answer, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"


def test_end_that_comes_late_is_shown() -> None:
    with connection_that_shows("COMPLETED") as url:
        assert [state["status"] for state in states(url, "1", seconds=0)] == ["COMPLETED"]


def test_job_that_does_not_end_is_named_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PATIENCE", 0.1)
    with connection_that_shows("PENDING") as url, pytest.raises(DemonstrationError, match="still PENDING after 0 s"):
        list(states(url, "1", seconds=0))
