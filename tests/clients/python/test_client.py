"""The client's own side: addresses, tokens, options, interruptions, and objects in other processes."""

from __future__ import annotations

import asyncio
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

import asyncjobs_client as client
from asyncjobs_client import AsyncJobs, Job, Jobs, NotConfigured, Snapshot
from asyncjobs_client.errors import api_error
from asyncjobs_client.options import submit_request
from asyncjobs_client.wire import api_url
from clients.contract import server
from tests.clients.python.harness import FLAVORS, SYNC, Flavor, value_of
from tests.support.pace import SLOWNESS

URL = "https://api.example.com/stage"
ENDED = {**server.RUNNING, "status": "FAILED", "endedAt": "2026-11-26T12:00:09.000Z"}
FAILURE = {"code": "BROKEN", "message": "It is broken.", "type": "ValueError", "retryable": False}


def token() -> str:
    return "from a function"


def answering(*answers: httpx2.Response) -> tuple[httpx2.Client, list[httpx2.Request]]:
    left, seen = list(answers), list[httpx2.Request]()

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return left.pop(0)

    return httpx2.Client(transport=httpx2.MockTransport(handle)), seen


@pytest.mark.parametrize(
    "url", ["https://api.example.com/stage", "https://api.example.com/stage/api/v1", "https://api.example.com/stage/"]
)
def test_address_is_that_of_the_stage_or_of_the_api(url: str) -> None:
    assert api_url(url) == "https://api.example.com/stage/api/v1"


def test_address_without_a_scheme_is_an_error() -> None:
    with pytest.raises(ValueError, match="https://"):
        Jobs("api.example.com", "t")


def test_page_at_the_address_is_an_error_that_names_it() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>"))
    jobs = Jobs(URL, "t", max_retries=0, http_client=httpx2.Client(transport=transport))
    with pytest.raises(client.ApiConnectionError, match="Check the API's address"):
        jobs.types()


FOREIGN: list[Any] = [{"hello": "world"}, {"jobTypes": None, "jobs": None, "webhooks": None}, [], "text", None]
"""Answers of an API that is not asyncjobs. None: without a body."""


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda each: each.name)
@pytest.mark.parametrize("body", FOREIGN, ids=repr)
@pytest.mark.parametrize(
    "call",
    [
        lambda jobs: jobs.types(),
        lambda jobs: jobs.get("j-1"),
        lambda jobs: jobs.job("j-1").wait(),
        lambda jobs: jobs.submit("text.search", {}),
        lambda jobs: jobs.upload(b"x"),
        lambda jobs: jobs.ticket("j-1"),
        lambda jobs: jobs.webhooks.all(),
        lambda jobs: jobs.webhooks.create("https://example.com"),
        lambda jobs: jobs.webhooks.rotate("w-1"),
    ],
    ids=["types", "get", "wait", "submit", "upload", "ticket", "webhooks", "create", "rotate"],
)
def test_json_of_another_api_is_an_error_that_says_so(flavor: Flavor, body: Any, call: Callable[[Any], Any]) -> None:
    seen = list[httpx2.Request]()

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=body)

    kind = httpx2.Client if flavor is SYNC else httpx2.AsyncClient
    jobs = flavor.jobs(URL, "t", http_client=kind(transport=httpx2.MockTransport(handle)))
    with pytest.raises(client.ApiConnectionError, match=r"no asyncjobs API\. Check the API's address"):
        asyncio.run(value_of(call(jobs)))
    assert len(seen) == 1


def test_report_to_another_api_is_an_error_that_says_so() -> None:
    http, _ = answering(httpx2.Response(200, json={"hello": "world"}))
    with pytest.raises(client.ApiConnectionError, match="no asyncjobs API"):
        client.Worker(f"{URL}/api/v1/jobs/j-1", "t", http_client=http).report(progress=10)


@pytest.mark.parametrize("body", FOREIGN, ids=repr)
@pytest.mark.parametrize("call", [lambda jobs: jobs.list(), lambda jobs: jobs.job("j-1").events()], ids=["list", "events"])
def test_iterator_of_another_api_ends_with_an_error_that_says_so(body: Any, call: Callable[[Jobs], Iterator[Any]]) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=body))
    with pytest.raises(client.ApiConnectionError, match="no asyncjobs API"):
        list(call(Jobs(URL, "t", http_client=httpx2.Client(transport=transport))))


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCJOBS_URL", URL)
    monkeypatch.setenv("ASYNCJOBS_TOKEN", "t-1")
    http, seen = answering(httpx2.Response(200, json={"jobTypes": []}))
    Jobs(http_client=http).types()
    assert (str(seen[0].url), seen[0].headers["authorization"]) == (f"{URL}/api/v1/job-types", "Bearer t-1")


def test_missing_address_or_token_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNCJOBS_URL", raising=False)
    monkeypatch.delenv("ASYNCJOBS_TOKEN", raising=False)
    with pytest.raises(NotConfigured, match="ASYNCJOBS_URL"):
        Jobs()
    for given in (None, ""):
        if given is not None:
            monkeypatch.setenv("ASYNCJOBS_TOKEN", given)
        with pytest.raises(NotConfigured, match="ASYNCJOBS_TOKEN"):
            Jobs(URL, max_retries=0, http_client=answering(httpx2.Response(401))[0]).types()


def test_token_may_be_a_coroutine() -> None:
    async def minted() -> str:
        return "minted"

    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"jobTypes": []})

    async def main() -> None:
        async with AsyncJobs(URL, minted, http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handle))) as jobs:
            await jobs.types()

    asyncio.run(main())
    assert seen[0].headers["authorization"] == "Bearer minted"


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_late_refusal_of_an_old_token_keeps_the_newer_one(flavor: Flavor) -> None:
    tokens, seen = ["old", "new", "newer"], list[str]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"].removeprefix("Bearer "))
        return httpx2.Response(401) if seen[-1] == "old" else httpx2.Response(200, json=server.RUNNING)

    def handle(request: httpx2.Request) -> httpx2.Response:
        answered = answer(request)
        if len(seen) == 1:
            jobs.get("second")  # its refusal overtakes that of the first request
        return answered

    async def handle_async(request: httpx2.Request) -> httpx2.Response:
        answered = answer(request)
        if len(seen) == 1:
            await jobs.get("second")
        return answered

    async def main() -> None:
        await value_of(jobs.get("first"))
        await flavor.close(http)

    http: Any = (
        httpx2.Client(transport=httpx2.MockTransport(handle))
        if flavor is SYNC
        else httpx2.AsyncClient(transport=httpx2.MockTransport(handle_async))
    )
    jobs = flavor.jobs(URL, lambda: tokens.pop(0), http_client=http)
    asyncio.run(main())
    assert (seen, tokens) == (["old", "old", "new", "new"], ["newer"])


def test_requests_at_the_same_time_share_a_new_token() -> None:
    tokens = ["old", "new", "newer"]

    async def handle(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0)  # all requests are sent before the first answer
        is_old = request.headers["authorization"] == "Bearer old"
        return httpx2.Response(401) if is_old else httpx2.Response(200, json=server.RUNNING)

    async def main() -> None:
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(handle)) as http,
            AsyncJobs(URL, lambda: tokens.pop(0), http_client=http) as jobs,
        ):
            await asyncio.gather(*(jobs.get(str(number)) for number in range(3)))

    asyncio.run(main())
    assert tokens == ["newer"]


def timeouts(seen: list[httpx2.Request]) -> list[float]:
    return [request.extensions["timeout"]["read"] for request in seen]


def test_held_request_is_given_the_time_that_it_is_held() -> None:
    running = httpx2.Response(200, json={**server.RUNNING, "seq": 1})
    events = httpx2.Response(200, json={"events": [], "seq": 1}, headers={"preference-applied": "wait=20"})
    http, seen = answering(running, running, events, httpx2.Response(200, json=ENDED))
    jobs = Jobs(URL, "t", timeout=7, http_client=http)
    jobs.submit("a.b", wait=12)
    list(jobs.get(server.JOB).updates())
    assert timeouts(seen) == [17, 7, 25, 7]


def test_poll_takes_no_longer_than_the_wait() -> None:
    http, seen = answering(httpx2.Response(200, json=ENDED))
    Jobs(URL, "t", timeout=30, http_client=http).job("j-1").wait(give_up=3)
    assert 1 <= timeouts(seen)[0] <= 3


def test_other_options_share_the_connections() -> None:
    http, seen = answering(httpx2.Response(503), httpx2.Response(200, json={"jobTypes": []}))
    jobs = Jobs(URL, "t-1", http_client=http)
    with pytest.raises(client.Unavailable):
        jobs.with_options(max_retries=0).types()
    jobs.with_options(token="t-2").types()
    assert [request.headers["authorization"] for request in seen] == ["Bearer t-1", "Bearer t-2"]


def test_client_closes_its_own_connections_only() -> None:
    http, _ = answering()
    with Jobs(URL, "t", http_client=http):
        pass
    assert not http.is_closed
    with Jobs(URL, "t") as jobs:
        own = jobs._connection.http
    assert own.is_closed


def test_handle_of_a_job_needs_no_request() -> None:
    job = Jobs(URL, "t").job("j-1")
    assert (job.id, job.status, job.url) == ("j-1", None, f"{URL}/api/v1/jobs/j-1")
    assert repr(job) == "<Job j-1>"


def test_id_of_a_job_stays_within_its_path() -> None:
    assert Jobs(URL, "t").job("../uploads?x").url == f"{URL}/api/v1/jobs/..%2Fuploads%3Fx"


def test_record_has_times_and_shows_no_secret() -> None:
    job = Snapshot({**server.RUNNING, "workerToken": "ajw_secret", "recordExpiresAt": 0})
    assert job.created_at == datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert job.expires_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert job.ended_at is None
    assert "secret" not in repr(job)


def test_options_of_a_submit_may_be_durations_and_times() -> None:
    request = submit_request(
        "a.b",
        None,
        {"delay": timedelta(minutes=1), "not_before": datetime(2027, 1, 1, tzinfo=UTC), "wait": timedelta(seconds=90)},
        prefer=None,
    )
    assert request.body == b'{"jobType":"a.b","delaySeconds":60,"notBefore":"2027-01-01T00:00:00+00:00"}'
    assert request.headers["prefer"] == "wait=20"
    with pytest.raises(ValueError, match="time zone"):
        submit_request("a.b", None, {"not_before": datetime(2027, 1, 1)}, prefer=None)  # noqa: DTZ001 - the mistake


def test_each_submit_has_a_key_of_its_own() -> None:
    keys = {submit_request("a.b", None, {}, prefer=None).headers["idempotency-key"] for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "error",
    [
        client.JobFailed(Snapshot({**ENDED, "error": FAILURE})),
        client.JobCancelled(Snapshot({**ENDED, "status": "CANCELLED"})),
        client.GaveUp(Snapshot(server.RUNNING), 300.0),
        client.ApiTimeout("no answer", job_id="j-1"),
        client.NotConfigured("no address"),
        client.InvalidWebhook("no signature"),
        api_error(429, {"code": "BUSY", "asyncJobId": "j-1", "errors": [{"pointer": "/a", "detail": "b"}]}, retry_after=7),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_can_be_pickled(error: client.AsyncjobsError) -> None:
    error.add_note("a note")
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.job_id) == (type(error), str(error), error.job_id)
    assert getattr(found, "retry_after", None) == getattr(error, "retry_after", None)
    assert getattr(found, "code", None) == getattr(error, "code", None)
    assert found.__notes__ == ["a note"]


def test_wait_that_ends_before_its_first_request_names_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNCJOBS_TOKEN", raising=False)
    with pytest.raises(NotConfigured) as caught:
        Jobs(URL).job("j-1").wait()
    assert caught.value.job_id == "j-1"


def test_gave_up_is_a_timeout_of_python() -> None:
    assert issubclass(client.GaveUp, TimeoutError)
    assert not issubclass(client.ApiTimeout, TimeoutError)  # a request is not the wait


def test_pickled_job_takes_its_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job({**server.RUNNING}, _connection=Jobs(URL, "a secret")._connection)
    pickled = pickle.dumps(job)
    assert b"a secret" not in pickled
    found = pickle.loads(pickled)
    assert (found.raw, found.url) == (job.raw, job.url)
    monkeypatch.setenv("ASYNCJOBS_TOKEN", "t-1")
    assert found._connection.token() == "t-1"


def test_pickled_client_keeps_the_function_that_returns_its_token() -> None:
    found = pickle.loads(pickle.dumps(Jobs(URL, token, timeout=7)))
    assert found._connection.token() == "from a function"
    assert found._connection.timeout == 7


def test_pickled_clients_pause_each_by_themselves() -> None:
    pickled = pickle.dumps(Jobs(URL, token))
    assert len(pickled) < 1000  # the state of a random generator has 2500 bytes
    first, second = (pickle.loads(pickled)._connection.random() for _ in range(2))
    assert first != second


@pytest.fixture
def faults() -> Iterator[server.FaultServer]:
    with server.serve() as running:
        yield running


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_interrupted_wait_names_the_job_and_sends_nothing_more(flavor: Flavor, faults: server.FaultServer) -> None:
    session = faults.begin("wait_gives_up")
    jobs = flavor.jobs(faults.sessions[session].base, "t")
    notes: list[str] = []

    async def main() -> None:
        try:
            await jobs.job(server.JOB).wait()
        except asyncio.CancelledError as error:
            notes.extend(error.__notes__)
            raise
        finally:
            await jobs.aclose()

    main_thread = threading.main_thread().ident
    assert main_thread is not None
    threading.Timer(0.5 * SLOWNESS, signal.pthread_kill, [main_thread, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        jobs.job(server.JOB).wait() if flavor is SYNC else asyncio.run(main())
    if flavor is SYNC:
        jobs.close()
    assert (notes or caught.value.__notes__) == [f"Job {server.JOB} runs on: wait for it again, or cancel it."]
    assert faults.verdict(session) == {"problems": [], "left": 2}


def test_callback_may_be_a_coroutine_function() -> None:
    seen: list[str] = []

    async def show(job: Any) -> None:
        seen.append(job.status)

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=ENDED)

    async def main() -> None:
        async with AsyncJobs(URL, "t", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handle))) as jobs:
            await jobs.job(server.JOB).wait(on_update=show)

    asyncio.run(main())
    assert seen == ["FAILED"]


def test_error_in_a_callback_is_the_callers() -> None:
    http, _ = answering(httpx2.Response(200, json=ENDED))

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Jobs(URL, "t", http_client=http).job(server.JOB).wait(on_update=fail)


def test_secret_of_a_link_is_in_no_error() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/result"):
            return httpx2.Response(303, json={}, headers={"location": "https://storage.example.com/r?signature=secret"})
        raise httpx2.ConnectError("refused", request=request)

    jobs = Jobs(URL, "t", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(handle)))
    with pytest.raises(client.ApiConnectionError) as caught, jobs.job("j-1").open():
        pass
    assert "storage.example.com/r" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_result_is_read_like_a_file() -> None:
    pieces = [b"0123456789" * 100_000]

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/result"):
            return httpx2.Response(303, json={}, headers={"location": "https://storage.example.com/r"})
        return httpx2.Response(
            200, content=iter(pieces), headers={"content-length": "1000000", "content-type": "text/plain", "etag": '"v1"'}
        )

    jobs = Jobs(URL, "t", http_client=httpx2.Client(transport=httpx2.MockTransport(handle)))
    with jobs.job("j-1").open() as stream:
        assert (stream.content_type, stream.size) == ("text/plain", 1_000_000)
        assert stream.read(4) == b"0123"
        assert stream.read(500_000) == pieces[0][4:500_004]
        assert stream.read() == pieces[0][500_004:]
        assert stream.read(1) == b""


def test_download_that_fails_leaves_no_file(tmp_path: Path) -> None:
    http, _ = answering(httpx2.Response(404, json={"code": "JOB_NOT_FOUND"}))
    with pytest.raises(client.NotFound):
        Jobs(URL, "t", http_client=http).job("j-1").download(tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_download_that_breaks_off_for_good_has_no_name(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"0123"
        raise httpx2.ReadError("cut")

    http, _ = answering(
        httpx2.Response(303, json={}, headers={"location": "https://storage.example.com/r"}),
        httpx2.Response(200, content=pieces(), headers={"content-length": "8"}),
    )
    with pytest.raises(client.ApiConnectionError):
        Jobs(URL, "t", max_retries=0, http_client=http).job("j-1").download(tmp_path / "result.json")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json.part"]


def test_upload_reports_its_progress() -> None:
    http, _ = answering(
        httpx2.Response(
            201, json={"key": "uploads/u1", "url": "https://storage.example.com/u", "headers": {"content-length": "600000"}}
        ),
        httpx2.Response(200),
    )
    seen: list[tuple[int, int | None]] = []
    key = Jobs(URL, "t", http_client=http).upload(b"x" * 600_000, on_progress=lambda *progress: seen.append(progress))
    assert key == "uploads/u1"
    assert seen == [(262_144, 600_000), (524_288, 600_000), (600_000, 600_000)]


def test_as_converts_the_result_of_a_run() -> None:
    ended = {
        **server.RUNNING,
        "status": "COMPLETED",
        "endedAt": "2026-11-26T12:00:09Z",
        "resultType": "INLINE",
        "result": [1, 2],
    }
    http, _ = answering(httpx2.Response(200, json=ended))
    as_: Callable[[list[int]], int] = sum
    assert Jobs(URL, "t", http_client=http).run("a.b", as_=as_) == 3
