"""The WebSocket API of the deployed stack, with a client library and a browser's WebSocket."""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from local.stack import LocalStack, Outputs
from tests.deployed.openapi.messages import MESSAGES
from tests.support.browser import chromium
from tests.support.deployed import FINISHED, UNKNOWN, Caller, Job
from tests.support.pace import SLOWNESS

PATIENCE = 30 * SLOWNESS


class Socket:
    """A connection, whose messages are checked against the AsyncAPI document."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.pushed: list[dict[str, Any]] = []
        """The changes that have come."""

    def send(self, **message: Any) -> dict[str, Any]:
        """Send a message and return its answer. Pushes that come first are kept."""
        self._connection.send(json.dumps({**message, "id": "1"}))
        while True:
            answer = self._receive()
            if answer is not None:
                assert answer.pop("id") == "1"
                return answer

    def watch(self, job: Job, **message: Any) -> dict[str, Any]:
        answer = self.send(action="watch", asyncJobId=job["asyncJobId"], **message)
        assert answer["type"] == "watching", answer
        return answer

    def until(self, condition: Callable[[dict[str, Any]], bool], *, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the first change for which the condition holds, waiting for it."""
        end = time.monotonic() + seconds
        while True:
            if found := next(filter(condition, self.pushed), None):
                return found
            self._receive(end - time.monotonic())

    def quiet(self, seconds: float) -> bool:
        """Return whether nothing comes for so long, on a quiet machine."""
        try:
            self._receive(seconds * SLOWNESS)
        except TimeoutError:
            return True
        return False

    def _receive(self, seconds: float = PATIENCE) -> dict[str, Any] | None:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=max(seconds, 0)))
        MESSAGES.check(message)
        if message["type"] != "changes":
            return message
        self.pushed += message["changes"]
        return None


def ticket(caller: Caller, *jobs: Job, **body: Any) -> dict[str, Any]:
    wanted = {"jobs": [job["asyncJobId"] for job in jobs]} if jobs else {"scope": "owner"}
    answer = caller.post("/tickets", json={**wanted, "use": "connect", **body})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def opened(url: str) -> Iterator[Socket]:
    with connect(url, proxy=None, open_timeout=PATIENCE) as connection:
        yield Socket(connection)


@contextmanager
def connected(caller: Caller, *jobs: Job, **body: Any) -> Iterator[Socket]:
    with opened(ticket(caller, *jobs, **body)["url"]) as socket:
        yield socket


def refused(url: str) -> int:
    with pytest.raises(InvalidStatus) as caught, opened(url):
        pass
    return caught.value.response.status_code


@pytest.fixture
def tracked(alice: Caller) -> Job:
    job: Job = alice.post("/jobs", json={}).json()
    return job


def report(caller: Caller, job: Job, **body: Any) -> None:
    assert caller.patch(f"/jobs/{job['asyncJobId']}", json=body).status_code == httpx.codes.OK


# ── Connect ──────────────────────────────────────────────────────────────────────────────────────────


def test_ticket_opens_one_connection(alice: Caller, tracked: Job) -> None:
    found = ticket(alice, tracked)
    with opened(found["url"]) as socket:
        answer = socket.send(action="ping")
        assert answer == {"type": "pong", "seqs": {}, "endsAt": found["connectionEndsAt"]}
        assert refused(found["url"]) == httpx.codes.FORBIDDEN
    assert refused(found["url"]) == httpx.codes.FORBIDDEN


def with_another_ticket(query: str) -> str:
    name, _, ticket = query.partition("=")
    return f"{name}={ticket.swapcase()}"


@pytest.mark.parametrize("change", [lambda url: url.partition("?")[0], lambda url: url[:-1], with_another_ticket])
def test_connection_without_a_valid_ticket_is_refused(alice: Caller, tracked: Job, change: Callable[[str], str]) -> None:
    url = ticket(alice, tracked)["url"]
    path, _, query = url.partition("?")
    wrong = f"{path}?{change(query)}" if change(url) != path else path
    assert refused(wrong) == httpx.codes.FORBIDDEN


def test_ticket_that_reads_opens_no_connection(alice: Caller, tracked: Job) -> None:
    url = ticket(alice, tracked)["url"].partition("=")[0]
    reads = alice.post("/tickets", json={"scope": "owner"}).json()["ticket"]
    assert refused(f"{url}={reads}") == httpx.codes.FORBIDDEN
    headers = {"authorization": f"Bearer {ticket(alice, tracked)['ticket']}"}
    answer = alice.http.get(f"/tickets/jobs/{tracked['asyncJobId']}", headers=headers)
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_connection_ends_when_its_ticket_says(alice: Caller, tracked: Job) -> None:
    seconds = math.ceil(2 * SLOWNESS)
    with connected(alice, tracked, ttlSeconds=seconds) as socket:
        socket.watch(tracked)
        time.sleep(seconds + 0.1)
        assert socket.send(action="ping")["problem"]["code"] == "INVALID_TICKET"
        report(alice, tracked, progress=50)
        assert socket.quiet(1)


# ── Watch ────────────────────────────────────────────────────────────────────────────────────────────


def test_watcher_sees_a_job_from_its_state_to_its_end(alice: Caller, tracked: Job) -> None:
    with connected(alice, tracked) as socket:
        snapshot = socket.watch(tracked)["snapshot"]
        assert (snapshot["type"], snapshot["status"], snapshot["progress"]) == ("snapshot", "PENDING", 0)
        report(alice, tracked, progress=40, message="Reading page 2 of 5")
        change = socket.until(lambda change: change["progress"] == 40)
        assert (change["type"], change["message"]) == ("started", "Reading page 2 of 5")
        report(alice, tracked, status="COMPLETED", result={"pages": 5})
        end = socket.until(lambda change: change["status"] in FINISHED)
        assert (end["type"], end["asyncJobId"], end["seq"]) == (
            "completed",
            tracked["asyncJobId"],
            alice.job(tracked)["seq"],
        )
        assert "result" not in end
        seqs = [change["seq"] for change in socket.pushed]
        assert seqs == sorted(set(seqs))


def test_watcher_of_a_running_job_sees_it_end(alice: Caller) -> None:
    job = alice.submit("sample.works", {"seconds": 3}, prefer="respond-async")
    with connected(alice, job) as socket:
        socket.watch(job)
        end = socket.until(lambda change: change["status"] in FINISHED, seconds=120)
        assert (end["type"], end["progress"]) == ("completed", 100)


def test_watcher_that_has_the_state_gets_only_changes(alice: Caller, tracked: Job) -> None:
    with connected(alice, tracked) as socket:
        assert socket.watch(tracked, after=alice.job(tracked)["seq"])["snapshot"] is None
        report(alice, tracked, progress=10)
        assert socket.until(lambda change: change["progress"] == 10)


def test_watcher_of_all_jobs_sees_new_ones_and_none_of_others(alice: Caller, bob: Caller) -> None:
    with connected(alice) as socket:
        assert socket.send(action="watch", scope="owner")["type"] == "watching"
        other, own = (caller.post("/jobs", json={}).json() for caller in (bob, alice))
        created = socket.until(lambda change: change["asyncJobId"] == own["asyncJobId"])
        assert (created["type"], created["seq"]) == ("created", 1)
        assert other["asyncJobId"] not in {change["asyncJobId"] for change in socket.pushed}


def test_unwatched_job_is_quiet(alice: Caller, tracked: Job) -> None:
    with connected(alice, tracked) as socket:
        socket.watch(tracked)
        assert socket.send(action="unwatch", asyncJobId=tracked["asyncJobId"])["type"] == "unwatched"
        report(alice, tracked, progress=50)
        assert socket.quiet(2)


def test_ping_shows_what_no_message_has_brought(alice: Caller, tracked: Job) -> None:
    with connected(alice, tracked) as socket:
        socket.watch(tracked)
        report(alice, tracked, progress=50)
        assert socket.send(action="ping")["seqs"] == {tracked["asyncJobId"]: alice.job(tracked)["seq"]}


def test_connection_after_one_that_was_cut_misses_nothing(alice: Caller, tracked: Job) -> None:
    with connected(alice, tracked) as socket:
        seen = socket.watch(tracked)["snapshot"]["seq"]
    report(alice, tracked, status="COMPLETED")
    with connected(alice, tracked) as socket:
        snapshot = socket.watch(tracked, after=seen)["snapshot"]
        assert (snapshot["status"], snapshot["seq"]) == ("COMPLETED", alice.job(tracked)["seq"])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"action": "watch", "asyncJobId": UNKNOWN}, "JOB_NOT_FOUND"),
        ({"action": "watch", "scope": "owner"}, "JOB_NOT_FOUND"),
        ({"action": "subscribe"}, "INVALID_REQUEST"),
    ],
)
def test_message_without_effect_is_answered_with_a_problem(
    alice: Caller, tracked: Job, message: dict[str, Any], code: str
) -> None:
    with connected(alice, tracked) as socket:
        socket._connection.send(json.dumps(message))
        answer = socket._receive()
        assert answer is not None
        assert (answer["type"], answer["problem"]["code"]) == ("problem", code)


def test_job_of_another_owner_is_not_found(bob: Caller, tracked: Job) -> None:
    with connected(bob) as socket:
        answer = socket.send(action="watch", asyncJobId=tracked["asyncJobId"])
        assert answer["problem"]["code"] == "JOB_NOT_FOUND"
    assert bob.post("/tickets", json={"jobs": [tracked["asyncJobId"]], "use": "connect"}).status_code == httpx.codes.NOT_FOUND


# ── A browser ────────────────────────────────────────────────────────────────────────────────────────

PAGE = """
new Promise((done, failed) => {
    const socket = new WebSocket(url), seen = [];
    socket.onerror = () => failed(new Error("refused"));
    socket.onopen = () => socket.send(JSON.stringify({action: "watch", asyncJobId}));
    socket.onmessage = ({data}) => {
        const message = JSON.parse(data);
        seen.push(message.type);
        if (message.type == "watching") window.isWatching = true;
        for (const change of message.changes ?? []) if (change.status == "COMPLETED") done(seen.concat(change.status));
    };
})
"""


def test_page_sees_its_job_end(stack: LocalStack, outputs: Outputs, alice: Caller, tracked: Job, tmp_path: Path) -> None:
    s3 = stack.session.client("s3", endpoint_url=outputs.endpoint_url)
    page: Any = {"Bucket": outputs.bucket_name, "Key": "page.html"}
    s3.put_object(**page, Body=b"<title>A page</title>", ContentType="text/html")
    url = ticket(alice, tracked)["url"]
    with chromium(tmp_path / "profile") as browser:
        # On this machine, and without the API's content security policy.
        browser.open(s3.generate_presigned_url("get_object", Params=page))
        browser.run(f"const url = {json.dumps(url)}, asyncJobId = {json.dumps(tracked['asyncJobId'])}; window.end = {PAGE}; 1")
        browser.wait_for("window.isWatching")
        report(alice, tracked, status="COMPLETED")
        seen = browser.run("window.end")
    assert (seen[0], seen[-2:]) == ("watching", ["changes", "COMPLETED"])


# ── Latency ──────────────────────────────────────────────────────────────────────────────────────────


def test_change_reaches_its_watcher_within_a_second(alice: Caller, tracked: Job) -> None:
    """From the write, which `at` says, to the message. `-o log_cli=true -o log_cli_level=INFO` shows the median."""
    taken: list[float] = []
    with connected(alice, tracked) as socket:
        socket.watch(tracked)
        for progress in range(1, 13):
            report(alice, tracked, progress=progress)
            change = socket.until(lambda change, progress=progress: change["progress"] == progress)  # type: ignore[misc]
            at = datetime.fromisoformat(change["at"])
            taken.append((datetime.now(at.tzinfo) - at).total_seconds())
            time.sleep(0.6)
    median = statistics.median(taken[2:])
    logging.getLogger(__name__).info("median %.3f s", median)
    assert median < SLOWNESS
