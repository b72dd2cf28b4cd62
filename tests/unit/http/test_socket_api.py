"""The answers to events of the WebSocket API. Each message is checked against the AsyncAPI document."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import JobKey
from asyncjobs.core.ticket import new_ticket_text
from asyncjobs.core.watch import MAX_WATCHES
from asyncjobs.http.socket_api import CODES, SocketApi
from asyncjobs.push.subscriptions import Subscriptions
from asyncjobs.push.tickets import TicketIssuer
from tests.deployed.openapi.messages import MESSAGES
from tests.support.events import sample
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeClock, FakeStore, FakeTickets, FakeWatchers
from tests.unit.conftest import Lines

OTHER = "00000000-0000-4000-8000-000000000001"


class Socket:
    """The WebSocket API over fakes."""

    def __init__(self) -> None:
        self.clock, self.watchers = FakeClock(NOW), FakeWatchers()
        jobs = [new_job(), new_job(async_job_id=OTHER, owner="bob")]
        self.store, tickets = FakeStore({job.key: job for job in jobs}), FakeTickets()
        self._issuer = TicketIssuer(store=self.store, tickets=tickets, clock=self.clock)
        self._api = SocketApi(Subscriptions(store=self.store, tickets=tickets, watchers=self.watchers, clock=self.clock))

    def ticket(self, *jobs: str, **options: Any) -> str:
        return self._issuer.issue(OWNER, jobs or None, for_a_connection=True, **options).text

    def connect(self, ticket: str | None = None) -> int:
        event = sample("socket-connect")
        event["queryStringParameters"] = None if ticket is None else {"ticket": ticket}
        answer = self._api.handle(event)
        assert answer.keys() == {"statusCode"}
        status: int = answer["statusCode"]
        return status

    def disconnect(self) -> int:
        status: int = self._api.handle(sample("socket-disconnect"))["statusCode"]
        return status

    def send(self, body: Any) -> dict[str, Any]:
        """Send a message and return the answer."""
        text = body if isinstance(body, str) else json.dumps(body)
        answer = self._api.handle({**sample("socket-message"), "body": text})
        assert answer["statusCode"] == 200
        found: dict[str, Any] = json.loads(answer["body"])
        MESSAGES.check(found)
        assert found["type"] != "problem" or found["problem"]["code"] in CODES
        return found

    def code(self, body: Any) -> str:
        found: str = self.send(body)["problem"]["code"]
        return found


@pytest.fixture
def socket() -> Socket:
    socket = Socket()
    socket.connect(socket.ticket())
    return socket


def test_ticket_opens_a_connection_and_a_wrong_one_is_401() -> None:
    socket = Socket()
    wrong = (None, "", "x", new_ticket_text(), "x" * 3000)
    assert [socket.connect(ticket) for ticket in wrong] == [401] * len(wrong)
    assert socket.watchers.connections == {}
    assert socket.connect(socket.ticket()) == 200


def test_connection_is_refused_where_there_are_no_sockets() -> None:
    assert SocketApi(None).handle(sample("socket-connect")) == {"statusCode": 403}


@pytest.mark.parametrize(("error", "status"), [(Unavailable("down"), 503), (RuntimeError("a bug"), 500)])
def test_connection_that_cannot_be_opened_has_its_status(
    monkeypatch: pytest.MonkeyPatch, lines: Lines, error: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    socket = Socket()
    monkeypatch.setattr(socket.watchers, "open", fail)
    assert socket.connect(socket.ticket()) == status
    assert [line["route"] for line in lines.events] == ["$connect"]


def test_watch_returns_the_jobs_state(socket: Socket) -> None:
    answer = socket.send({"action": "watch", "asyncJobId": JOB_ID.upper(), "id": "7"})
    snapshot = answer.pop("snapshot")
    assert answer == {"type": "watching", "asyncJobId": JOB_ID, "endsAt": "2026-11-21T12:15:00.000Z", "id": "7"}
    assert (snapshot["type"], snapshot["status"], snapshot["seq"]) == ("snapshot", "PENDING", new_job().seq)


def test_watch_after_the_present_state_returns_none(socket: Socket) -> None:
    answer = socket.send({"action": "watch", "asyncJobId": JOB_ID, "after": new_job().seq, "scope": None})
    assert answer["snapshot"] is None


def test_all_jobs_are_watched_and_unwatched(socket: Socket) -> None:
    assert socket.send({"action": "watch", "scope": "owner"}) == {
        "type": "watching",
        "scope": "owner",
        "endsAt": "2026-11-21T12:15:00.000Z",
    }
    assert socket.send({"action": "unwatch", "scope": "owner"}) == {"type": "unwatched", "scope": "owner"}
    assert not any(socket.watchers.entries.values())


def test_job_is_unwatched(socket: Socket) -> None:
    socket.send({"action": "watch", "asyncJobId": JOB_ID})
    assert socket.send({"action": "unwatch", "asyncJobId": JOB_ID}) == {"type": "unwatched", "asyncJobId": JOB_ID}
    assert not any(socket.watchers.entries.values())


def test_ping_returns_the_numbers_of_the_watched_jobs(socket: Socket) -> None:
    socket.send({"action": "watch", "asyncJobId": JOB_ID})
    socket.store.jobs[new_job().key] = running_job()
    answer = socket.send({"action": "ping"})
    assert answer == {"type": "pong", "seqs": {JOB_ID: running_job().seq}, "endsAt": "2026-11-21T12:15:00.000Z"}


def test_disconnect_ends_every_watch(socket: Socket) -> None:
    socket.send({"action": "watch", "asyncJobId": JOB_ID})
    assert [socket.disconnect(), socket.disconnect()] == [200, 200]
    assert (socket.watchers.connections, any(socket.watchers.entries.values())) == ({}, False)


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        ("", "INVALID_JSON", None),
        ("{", "INVALID_JSON", None),
        ('{"action": "ping", "action": "watch"}', "INVALID_JSON", None),
        ([], "INVALID_REQUEST", [""]),
        ({}, "INVALID_REQUEST", ["/action"]),
        ({"action": "subscribe"}, "INVALID_REQUEST", ["/action"]),
        ({"action": "watch"}, "INVALID_REQUEST", ["/asyncJobId"]),
        ({"action": "unwatch"}, "INVALID_REQUEST", ["/asyncJobId"]),
        ({"action": "watch", "asyncJobId": JOB_ID, "scope": "owner"}, "INVALID_REQUEST", ["/asyncJobId"]),
        ({"action": "watch", "asyncJobId": "x"}, "INVALID_REQUEST", ["/asyncJobId"]),
        ({"action": "watch", "asyncJobId": JOB_ID, "after": -1}, "INVALID_REQUEST", ["/after"]),
        ({"action": "watch", "scope": "owner", "after": 1}, "INVALID_REQUEST", ["/after"]),
        ({"action": "watch", "scope": "everybody"}, "INVALID_REQUEST", ["/scope"]),
        ({"action": "ping", "owner": "bob"}, "INVALID_REQUEST", ["/owner"]),
        ({"action": "ping", "id": "x" * 65}, "INVALID_REQUEST", ["/id"]),
        ({"action": "watch", "asyncJobId": OTHER}, "JOB_NOT_FOUND", None),
        ({"action": "watch", "asyncJobId": "00000000-0000-1000-8000-000000000001"}, "JOB_NOT_FOUND", None),
    ],
    ids=str,
)
def test_invalid_message_is_answered_with_its_problem(socket: Socket, body: Any, code: str, pointers: Any) -> None:
    answer = socket.send(body)
    problem = answer["problem"]
    assert (answer["type"], problem["code"]) == ("problem", code)
    assert {"type", "title", "status", "detail", "requestId"} <= problem.keys()
    assert pointers is None or [error["pointer"] for error in problem["errors"]] == pointers
    assert not any(socket.watchers.entries.values())


def test_problem_has_the_id_of_its_message(socket: Socket) -> None:
    assert socket.send({"action": "watch", "asyncJobId": OTHER, "id": "7"})["id"] == "7"


def test_limit_of_watches_is_a_problem(socket: Socket) -> None:
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(100, 101 + MAX_WATCHES)]
    socket.store.jobs |= {JobKey(OWNER, each): new_job(async_job_id=each) for each in ids}
    answers = [socket.send({"action": "watch", "asyncJobId": each}) for each in ids]
    assert [answer["type"] for answer in answers] == ["watching"] * MAX_WATCHES + ["problem"]
    assert answers[-1]["problem"]["code"] == "TOO_MANY_WATCHES"


def test_message_of_an_ended_connection_is_a_problem(socket: Socket) -> None:
    socket.clock.now += timedelta(minutes=15)
    assert socket.code({"action": "ping"}) == "INVALID_TICKET"


def test_table_that_does_not_answer_is_a_problem(socket: Socket, lines: Lines) -> None:
    socket.watchers.is_down = True
    assert socket.code({"action": "watch", "asyncJobId": JOB_ID}) == "UNAVAILABLE"
    (line,) = lines.events
    assert (line["message"], line["route"], line["errorCode"]) == ("PROBLEM_ANSWERED", "socket watch", "UNAVAILABLE")


def test_bug_is_a_problem_without_its_text(socket: Socket, lines: Lines) -> None:
    socket.store.failures.append(RuntimeError("secret"))
    answer = socket.send({"action": "watch", "asyncJobId": JOB_ID})
    assert answer["problem"]["code"] == "INTERNAL_ERROR"
    assert "secret" not in json.dumps(answer)
    assert [line["message"] for line in lines.events] == ["REQUEST_FAILED"]
