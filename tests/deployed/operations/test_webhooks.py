"""Events of jobs arrive at a receiver that fails, and is signed for by the reference library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.deployed import Caller, wait_until
from tests.support.pace import SLOWNESS
from tests.support.receiver import Received, Receiver, receiving

Create = Callable[..., dict[str, Any]]


def arrived(receiver: Receiver, job: dict[str, Any], *types: str) -> dict[str, Received]:
    """Wait until each of these events of the job has arrived, and return the last request of each."""

    def found() -> dict[str, Received]:
        return {each.event["type"]: each for each in receiver.about(job["asyncJobId"]) if each.event}

    wait_until(lambda: {*types} <= found().keys(), seconds=120 * SLOWNESS)
    return found()


def test_every_end_arrives_although_the_receiver_fails_half_of_the_time(
    user: Caller, receiver: Receiver, create: Create
) -> None:
    create()
    tries: Counter[str] = Counter()

    def fails_first(received: Received, number: int) -> tuple[int, dict[str, str]]:
        tries[received.id] += 1
        return (503 if tries[received.id] == 1 and number % 2 == 0 else 204), {}

    receiver.answer = fails_first
    jobs = {
        user.submit("sample.returns")["asyncJobId"]: "job.completed",
        user.submit("sample.gives_up")["asyncJobId"]: "job.failed",
        user.submit("sample.returns")["asyncJobId"]: "job.completed",
    }
    cancelled = user.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": 600}).json()
    user.post(f"/jobs/{cancelled['asyncJobId']}/cancel")
    jobs[cancelled["asyncJobId"]] = "job.cancelled"
    for async_job_id, event in jobs.items():
        arrived(receiver, {"asyncJobId": async_job_id}, event)
    path = {"jobType": "webhook.deliver"}
    wait_until(
        lambda: {job["status"] for job in user.get("/jobs", params=path).json()["jobs"]} == {"COMPLETED"},
        seconds=120 * SLOWNESS,
    )
    deliveries = user.get("/jobs", params=path).json()["jobs"]
    assert {job["metadata"]["asyncJobId"]: job["metadata"]["event"] for job in deliveries} == jobs
    assert {job["asyncJobId"] for job in deliveries} == {received.id for received in receiver.received}
    assert max(tries.values()) == 2, "no delivery was tried again"
    for async_job_id in jobs:
        assert len({received.body for received in receiver.about(async_job_id)}) == 1, "each try has the same body"
    listed = {job["asyncJobId"] for job in user.get("/jobs").json()["jobs"]}
    assert listed == jobs.keys(), "deliveries are in no other list"


def test_event_has_the_job_and_its_small_result_and_not_its_input(user: Caller, receiver: Receiver, create: Create) -> None:
    create(events=["job.created", "job.started", "job.completed"], includeResult=True)
    answer = user.post(
        "/jobs",
        json={"jobType": "sample.returns_much", "input": {"size": 3}, "metadata": {"order": 7}},
        headers={"prefer": "respond-async"},
    )
    job = user.wait_for(answer.json())
    events = {
        type_: found.event for type_, found in arrived(receiver, job, "job.created", "job.started", "job.completed").items()
    }
    data = {type_: event["data"] for type_, event in events.items() if event}
    assert [data[f"job.{name}"]["status"] for name in ("created", "started", "completed")] == [
        "PENDING",
        "IN_PROGRESS",
        "COMPLETED",
    ]
    numbers = [data[f"job.{name}"]["seq"] for name in ("created", "started", "completed")]
    assert numbers == sorted(numbers)
    assert numbers[-1] == job["seq"]
    assert data["job.completed"]["result"] == job["result"]
    assert data["job.completed"]["metadata"] == {"order": 7}
    assert not any(b'"input"' in received.body or b'"size"' in received.body for received in receiver.received)


def test_webhook_for_a_single_job_gets_no_event_of_another(user: Caller, receiver: Receiver, create: Create) -> None:
    webhook_id = create(namedOnly=True)["webhookId"]
    other = user.wait_for(user.submit("sample.returns"))
    answer = user.post("/jobs", json={"jobType": "sample.returns", "webhook": webhook_id}, headers={"prefer": "respond-async"})
    arrived(receiver, answer.json(), "job.completed")
    assert receiver.about(other["asyncJobId"]) == []


def test_owner_gets_no_event_of_another_owner(user: Caller, receiver: Receiver, create: Create, alice: Caller) -> None:
    create()
    foreign = alice.wait_for(alice.submit("sample.returns"))
    own = user.submit("sample.returns")
    arrived(receiver, own, "job.completed")
    assert receiver.about(foreign["asyncJobId"]) == []


def test_disabled_webhook_gets_no_further_event(user: Caller, receiver: Receiver, create: Create) -> None:
    create()
    receiver.answer = lambda _received, _number: (410, {})
    arrived(receiver, user.submit("sample.returns"), "job.completed")
    wait_until(lambda: user.get("/webhooks").json()["webhooks"][0]["disabledReason"] == "REFUSED")
    later = user.wait_for(user.submit("sample.returns"))
    with receiving() as working:
        create(working)
        arrived(working, user.submit("sample.returns"), "job.completed")
    assert receiver.about(later["asyncJobId"]) == []
