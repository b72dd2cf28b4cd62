"""Not too much, on a deployment with every limit on: what clients at once, the table and the queue make of it.

It also tells how many messages wait, which is off by default.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from asyncjobs.lifecycle import job_id_for
from local import users
from local.sam import Sam, Tools, architecture
from local.stack import LocalStack, Outputs

BURST, INTERVAL_SECONDS, MAX_LIVE, MAX_BACKLOG = 6, 2.0, 12, 40
PARAMETERS = {
    "SubmitRatePerMinute": "30",
    "SubmitBurst": str(BURST),
    "MaxLiveJobsPerOwner": str(MAX_LIVE),
    "MaxBacklog": str(MAX_BACKLOG),
    "TellQueueDepth": "true",
}
CLIENTS, SECONDS = 4, 5.0
SHORT = {"jobType": "zoo.returns", "input": {}}
WAITS = {**SHORT, "delaySeconds": 900}


@dataclass(frozen=True)
class Limited:
    """A second deployment of what the stack has built."""

    outputs: Outputs
    worker_name: str
    sign_in: Callable[[str], Client]


@dataclass(frozen=True)
class Client:
    """A user of it, who notes when each answer came."""

    http: httpx.Client
    owner: str

    def submit(self, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        return self.http.post("/jobs", json=body, headers={"idempotency-key": key or uuid.uuid4().hex})

    def submit_patiently(self, body: dict[str, Any]) -> httpx.Response:
        """As a client should: it comes back when it is told to. It may be told so once."""
        answer = self.submit(body)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS and answer.json()["code"] == "SUBMIT_RATE_EXCEEDED":
            time.sleep(int(answer.headers["retry-after"]))
            answer = self.submit(body)
        return answer


@pytest.fixture(scope="module")
def limited(stack: LocalStack) -> Iterator[Limited]:
    tools, name = Tools(), "limited"
    Sam(stack.root, stack.state, tools).deploy(
        name, stack.endpoint_url, {"PythonRuntime": tools.runtime(), "Architecture": architecture(), **PARAMETERS}
    )
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    found = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    }
    outputs = replace(
        stack.outputs,
        api_url=f"{stack.endpoint_url}/_aws/execute-api/{found['Api']}",
        table_name=found["Table"],
        queue_url=found["Queue"],
        user_pool_id=found["UserPool"],
        user_pool_client_id=found["UserPoolClient"],
    )
    clients: list[httpx.Client] = []

    def sign_in(username: str) -> Client:
        token = users.token(outputs, stack.session, username)
        clients.append(
            httpx.Client(
                base_url=f"{outputs.api_url}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False
            )
        )
        return Client(clients[-1], users.subject(token))

    yield Limited(outputs, found["WorkerFunction"], sign_in)
    for client in clients:
        client.close()


def test_clients_at_once_get_no_more_than_the_burst_and_what_comes_back_in_that_time(limited: Limited) -> None:
    alices = [limited.sign_in("alice") for _ in range(CLIENTS)]
    began = time.monotonic()

    def hammer(client: Client) -> list[tuple[str, httpx.Response]]:
        answers = []
        while time.monotonic() < began + SECONDS:
            key = uuid.uuid4().hex
            answers.append((key, client.submit(SHORT, key)))
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for found in pool.map(hammer, alices) for answer in found]
    took = time.monotonic() - began
    accepted = {key for key, answer in answers if answer.status_code == httpx.codes.ACCEPTED}
    refused = [(key, answer) for key, answer in answers if answer.status_code == httpx.codes.TOO_MANY_REQUESTS]
    assert len(accepted) + len(refused) == len(answers)
    assert refused, "too few came to be too many"
    assert BURST <= len(accepted) <= BURST + took / INTERVAL_SECONDS
    assert {answer.headers["ratelimit-policy"] for _, answer in answers} == {f'"submit";q={BURST};w=12'}
    for _, answer in refused:
        assert answer.json()["code"] == "SUBMIT_RATE_EXCEEDED", answer.text
        assert answer.headers["ratelimit"] == f'"submit";r=0;t={answer.headers["retry-after"]}'
        assert 1 <= int(answer.headers["retry-after"]) <= INTERVAL_SECONDS
    # What was refused has never been there, and what was accepted has.
    listed = {job["asyncJobId"] for job in alices[0].http.get("/jobs", params={"limit": 100}).json()["jobs"]}
    assert listed == {job_id_for(alices[0].owner, key) for key in accepted}
    # Others have buckets of their own; and a retry of an accepted job finds it also now.
    assert limited.sign_in("bob").submit(SHORT).status_code == httpx.codes.ACCEPTED
    again = [alices[0].submit(SHORT, key) for key in accepted]
    assert {(answer.is_success, answer.headers["idempotency-replayed"]) for answer in again} == {(True, "true")}


def test_who_waits_as_long_as_told_is_accepted(limited: Limited) -> None:
    carol = limited.sign_in("carol")
    for _ in range(3):
        while (answer := carol.submit(SHORT)).status_code == httpx.codes.ACCEPTED:
            pass
        assert answer.json()["code"] == "SUBMIT_RATE_EXCEEDED", answer.text
        time.sleep(int(answer.headers["retry-after"]))
        assert carol.submit(SHORT).status_code == httpx.codes.ACCEPTED


def test_an_owner_has_so_many_unfinished_jobs_and_no_more(limited: Limited) -> None:
    dave = limited.sign_in("dave")
    jobs = [dave.submit_patiently(WAITS) for _ in range(MAX_LIVE)]
    assert {answer.status_code for answer in jobs} == {httpx.codes.ACCEPTED}
    refused = dave.submit(WAITS)
    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.TOO_MANY_REQUESTS, "TOO_MANY_LIVE_JOBS")
    assert dave.http.post(f"/jobs/{jobs[0].json()['asyncJobId']}/cancel").is_success
    assert dave.submit_patiently(WAITS).status_code == httpx.codes.ACCEPTED
    assert dave.submit(WAITS).json()["code"] == "TOO_MANY_LIVE_JOBS"


def test_while_the_queue_is_too_long_nothing_is_accepted_and_afterwards_it_is(stack: LocalStack, limited: Limited) -> None:
    functions: Any = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    queue: Any = stack.session.client("sqs", endpoint_url=stack.endpoint_url)
    erin, key = limited.sign_in("erin"), uuid.uuid4().hex
    accepted = erin.submit(WAITS, key)
    name = limited.outputs.queue_url.rpartition("/")[2]
    mappings = functions.list_event_source_mappings(FunctionName=limited.worker_name)["EventSourceMappings"]
    (mapping,) = (found for found in mappings if found["EventSourceArn"].endswith(f":{name}"))
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    wait_until(lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Disabled")
    waits = erin.submit_patiently(SHORT).json()
    for start in range(0, MAX_BACKLOG, 10):
        entries = [{"Id": str(number), "MessageBody": "{}"} for number in range(start, start + 10)]
        queue.send_message_batch(QueueUrl=limited.outputs.queue_url, Entries=entries)
    wait_until(lambda: erin.submit(WAITS).status_code == httpx.codes.SERVICE_UNAVAILABLE)
    # Each process looks for itself: from now on, all that do have found it too long.
    time.sleep(5)
    new = uuid.uuid4().hex
    shed = erin.submit(WAITS, new)
    assert (shed.status_code, shed.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "BUSY")
    assert int(shed.headers["retry-after"]) > 0
    assert erin.http.get(f"/jobs/{job_id_for(erin.owner, new)}").status_code == httpx.codes.NOT_FOUND
    assert erin.submit(WAITS, key).json()["asyncJobId"] == accepted.json()["asyncJobId"]
    # Its own message, and all those of others; and in the other queues there is room.
    assert erin.http.get(f"/jobs/{waits['asyncJobId']}").json()["queueDepth"] == 1 + MAX_BACKLOG
    assert "queueDepth" not in erin.http.get(f"/jobs/{accepted.json()['asyncJobId']}").json()
    assert erin.submit_patiently({**WAITS, "priority": "low"}).status_code == httpx.codes.ACCEPTED
    queue.purge_queue(QueueUrl=limited.outputs.queue_url)
    time.sleep(int(shed.headers["retry-after"]))
    assert erin.submit_patiently(WAITS).status_code == httpx.codes.ACCEPTED


def wait_until(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "never came to be so"
        time.sleep(0.2)
