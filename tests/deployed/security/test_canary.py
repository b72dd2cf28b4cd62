"""Row S28: no log line holds what users send or jobs return."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from tests.deployed.security import canary_jobs
from tests.deployed.security.world import World
from tests.support.factories import job_types_of
from tests.support.lines import Written, written_lines

CANARY = "canary-7f3a9"
JOB_TYPES = job_types_of(*vars(canary_jobs).values())


@pytest.fixture
def written() -> Iterator[Written]:
    """Collect the lines of a function that logs no texts of exceptions, as all but the worker do."""
    with written_lines() as written:
        yield written


@pytest.fixture
def world() -> World:
    return World(catalog=Catalog({**JOB_TYPES, GENERIC: tracked_job(GENERIC)}))


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_s28_log_has_no_payload_of_a_job(
    world: World, written: Written, capfd: pytest.CaptureFixture[str], job_type: str
) -> None:
    body = {"jobType": job_type, "input": {"secret": CANARY}, "metadata": {CANARY: CANARY}, "message": CANARY}
    headers = {"idempotency-key": CANARY, "authorization": f"Bearer {CANARY}", "x-note": CANARY}
    accepted = world.call("POST /api/v1/jobs", CANARY, headers=headers, body=json.dumps(body))
    assert accepted.status == 202
    for _ in range(6):
        world.work()
        world.sweep()
    read = world.call("GET /api/v1/jobs/{asyncJobId}/input", CANARY, async_job_id=accepted.body["asyncJobId"])
    assert (read.status, read.body) == (200, {"secret": CANARY})
    job = world.call("GET /api/v1/jobs/{asyncJobId}", CANARY, async_job_id=accepted.body["asyncJobId"]).body
    assert job["status"] in ("COMPLETED", "FAILED")
    assert {"JOB_ACCEPTED", "JOB_STARTED", f"JOB_{job['status']}"} <= written.names()
    assert CANARY not in written.text
    assert CANARY not in "".join(capfd.readouterr())


def test_s28_log_has_no_rejected_request(world: World, written: Written) -> None:
    for body in (CANARY, f'{{"jobType": "{CANARY}"}}', f'{{"jobType": "canary.raises", "input": {{"secret": ["{CANARY}"]}}}}'):
        assert world.call("POST /api/v1/jobs", CANARY, body=body).status == 400
    assert world.call("GET /api/v1/jobs", CANARY, query={"cursor": CANARY}).status == 400
    assert world.call("GET /api/v1/jobs/{asyncJobId}", CANARY, async_job_id=CANARY).status == 404
    assert CANARY not in written.text


def test_s28_log_has_no_input_that_is_read_or_missing(world: World, written: Written) -> None:
    large = {"secret": CANARY * 500}
    job = world.submit(CANARY, jobType="canary.returns", input=large).body
    route, job_id = "GET /api/v1/jobs/{asyncJobId}/input", job["asyncJobId"]
    assert world.call(route, CANARY, async_job_id=job_id).body == large
    world.objects.stored.clear()
    assert world.call(route, CANARY, async_job_id=job_id).code == "INPUT_NOT_FOUND"
    world.objects.is_down = True
    assert world.call(route, CANARY, async_job_id=job_id).code == "UNAVAILABLE"
    assert "PROBLEM_ANSWERED" in written.names()
    assert CANARY not in written.text


def test_s28_log_has_no_malformed_message_and_no_text_of_an_unforeseen_error(world: World, written: Written) -> None:
    world.submit(CANARY, jobType="canary.returns", input={"secret": CANARY})
    world.store.failures.append(RuntimeError(CANARY))
    world.work()
    world.deliver(CANARY, json.dumps({"version": 1, "owner": CANARY}))
    assert {"DELIVERY_FAILED", "MESSAGE_MALFORMED"} <= written.names()
    assert CANARY not in written.text


@pytest.mark.parametrize("error", [None, {"code": "CANARY_7F3A9", "message": CANARY}])
def test_s28_log_has_no_report_and_no_worker_token(world: World, written: Written, error: dict[str, str] | None) -> None:
    created = world.submit(CANARY, metadata={CANARY: CANARY}, message=CANARY).body
    headers = {"authorization": f"Bearer {created['workerToken']}"}

    def report_status(**report: object) -> int:
        route = "PATCH /api/v1/jobs/{asyncJobId}/report"
        return world.call(route, async_job_id=created["asyncJobId"], headers=headers, body=json.dumps(report)).status

    end = {"status": "COMPLETED", "result": CANARY} if error is None else {"status": "FAILED", "error": error}
    assert [
        report_status(message=CANARY),
        report_status(unknown=CANARY),
        report_status(**end),
        report_status(message=CANARY),
    ] == [200, 400, 200, 409]
    assert {"JOB_ACCEPTED", "JOB_STARTED", f"JOB_{end['status']}"} <= written.names()
    for secret in (CANARY, CANARY.upper().replace("-", "_"), created["workerToken"], created["workerToken"][-40:]):
        assert secret not in written.text


def test_s28_log_has_no_ticket(world: World, written: Written) -> None:
    job = world.submit(CANARY, jobType="canary.returns", input={"secret": CANARY}).body
    ticket = world.call("POST /api/v1/tickets", CANARY, body=json.dumps({"jobs": [job["asyncJobId"]]})).body["ticket"]
    route, query = "GET /api/v1/tickets/jobs/{asyncJobId}", {"ticket": ticket}
    events = f"{route}/events"
    answers = [
        world.call(route, async_job_id=job["asyncJobId"], query=query),
        world.call(route, async_job_id="00000000-0000-4000-8000-000000000001", query=query),
        world.call(route, async_job_id=job["asyncJobId"], query={"ticket": ticket.swapcase()}),
        world.call(route, async_job_id=job["asyncJobId"], query={**query, "x": "y"}),
        world.call(events, async_job_id=job["asyncJobId"], query=query, headers={"accept": "text/event-stream"}),
        world.call(events, async_job_id=job["asyncJobId"], query={**query, "after": "x"}),
    ]
    assert [answer.status for answer in answers] == [200, 404, 401, 400, 200, 400]
    assert "PROBLEM_ANSWERED" in written.names()
    assert ticket.removeprefix("ajt_").lower() not in written.text.lower()


def test_s28_worker_logs_the_text_of_an_exception_of_job_code_only_where_the_deployment_permits_it(world: World) -> None:
    with written_lines(with_exception_text=True) as written:
        accepted = world.submit(CANARY, jobType="canary.raises", input={"secret": CANARY}).body
        world.work()
        (line,) = [line for line in written.lines() if CANARY in json.dumps(line)]
        assert (line["message"], line["errorType"]) == ("JOB_FAILED", "LookupError")
        assert CANARY in line.pop("exceptionText")
        assert CANARY not in json.dumps(line)
    job = world.call("GET /api/v1/jobs/{asyncJobId}", CANARY, async_job_id=accepted["asyncJobId"])
    assert job.body["error"]["type"] == "LookupError"
    assert CANARY not in json.dumps(job.body["error"])
