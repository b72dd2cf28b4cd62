"""One cell of the matrix: its own job, a fault at one of its AWS calls, and the outcome as seen from outside."""

from __future__ import annotations

import http
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from asyncjobs.aws.items import bucket_key
from asyncjobs.core.job import job_id_for
from asyncjobs.jobtypes.decorator import GENERIC
from tests.proof.crash import crashpoints, faults
from tests.proof.crash.faults import Armed, Fault
from tests.proof.crash.history import Life, State
from tests.proof.crash.jobs import MEGABYTE, digest
from tests.proof.crash.stage import Caller, Stage
from tests.support.pace import SLOWNESS
from tests.support.receiver import Received

LONGEST_WAIT = 300.0 * SLOWNESS
OK, CREATED, ACCEPTED, NO_CONTENT, UNAVAILABLE, UNAUTHORIZED, CONFLICT, NOT_FOUND, FAILED = (
    http.HTTPStatus.OK,
    http.HTTPStatus.CREATED,
    http.HTTPStatus.ACCEPTED,
    http.HTTPStatus.NO_CONTENT,
    http.HTTPStatus.SERVICE_UNAVAILABLE,
    http.HTTPStatus.UNAUTHORIZED,
    http.HTTPStatus.CONFLICT,
    http.HTTPStatus.NOT_FOUND,
    http.HTTPStatus.INTERNAL_SERVER_ERROR,
)
ROLLED_BACK = "JOB_CREATION_FAILED"
"""The error of a job whose submit was refused after its put."""


class NotFired(AssertionError):
    """The job ended without its fault, or with it in another place: the faults of two cells may hit one batch of messages."""


@dataclass
class Cell:
    """A job with a fault: `arm` the fault, act, and check the end with `ends`."""

    stage: Stage
    caller: Caller
    folder: Path
    fault: Fault
    site: str
    purpose: str
    job_type: str
    note: str = field(default_factory=lambda: uuid.uuid4().hex)
    key: str | None = field(default_factory=lambda: uuid.uuid4().hex)
    known_as: str | None = None
    """The job's id, if it does not follow from the key."""
    fields: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    armed: Armed | None = None

    @property
    def job_id(self) -> str:
        return self.known_as or job_id_for(self.caller.owner, self.key)

    # ── Prepare ────────────────────────────────────────────────────────────────────────────────────

    def arm(self, about: str | None = None) -> None:
        self.armed = faults.arm(
            self.fault,
            site=self.site,
            purpose=self.purpose,
            about=about or self.job_id,
            proxy=self.stage.proxy,
            folder=self.folder,
        )

    def lose_message(self) -> None:
        """Make the queue refuse the job's message with an error that the SDK does not retry: only a sweep finds the job."""
        call = crashpoints.call_name("sqs.SqsQueue.send:SendMessage", "send < Sender.send")
        headers = {crashpoints.CALL: call, crashpoints.ABOUT: self.job_id}
        self.stage.proxy.add([{"headers": headers, "times": 1, "error": {"code": "OverLimit", "status": 429}}])

    def upload(self, *, by_link: bool = False) -> None:
        """Upload the note for `crash.reads_upload`, under a key such as those of links, or another one, which no submit keeps."""
        self.note = f"uploads/{uuid.uuid4()}" if by_link else f"uploads/{self.job_id}.txt"
        self.stage.client("s3").put_object(
            Bucket=self.stage.outputs.bucket_name,
            Key=f"inputs/{quote(self.caller.owner, safe='')}/{self.note}",
            Body=self.note.encode(),
        )

    def use_up_rate(self) -> None:
        """Leave the caller without a token for the next hour."""
        full_at = str(int((time.time() + 3600) * 1000))
        self.stage.client("dynamodb").put_item(
            TableName=self.stage.outputs.table_name, Item={**bucket_key(self.caller.owner), "fullAt": {"N": full_at}}
        )

    # ── Act ────────────────────────────────────────────────────────────────────────────────────────

    def submit(self) -> httpx.Response:
        # A tracked job has no input.
        given = {} if self.job_type == GENERIC else {"note": self.note}
        return self.caller.submit(self.job_type, given, self.key, self.headers, **self.fields)

    def is_cancelled(self) -> None:
        """Submit the job with a delay, and cancel it."""
        self.fields["delaySeconds"] = 600
        self.is_accepted(replayed=False)
        answer = self.caller.cancel(self.job_id)
        assert answer.json()["status"] == "CANCELLED", _shown(answer)

    def is_accepted(self, *, replayed: bool | None = None) -> None:
        """Submit the job, and check that the answer is the job with the id of the key."""
        answer = self.submit()
        assert answer.status_code in {OK, ACCEPTED}, f"submit: {_shown(answer)}"
        assert answer.json()["asyncJobId"] == self.job_id
        if replayed is not None:
            assert (answer.headers.get("idempotency-replayed") == "true") is replayed, "replayed or not"

    def answers_as_faulted(self, answer: httpx.Response, *, otherwise: int = OK) -> None:
        """Check the answer to the request with the fault."""
        if self.fault.kills:
            assert answer.status_code >= http.HTTPStatus.INTERNAL_SERVER_ERROR, _shown(answer)
        elif self.fault.gives_up:
            assert (answer.status_code, answer.headers.get("retry-after")) == (UNAVAILABLE, "2"), _shown(answer)
        else:
            assert answer.status_code == otherwise, _shown(answer)

    def submit_rival(self, job_type: str) -> str | None:
        """Submit another job of the same caller, and return its id; None if the lock of another job rejected it."""
        answer = self.caller.submit(job_type, {"note": "rival"}, uuid.uuid4().hex)
        assert answer.status_code in {ACCEPTED, CONFLICT}, _shown(answer)
        return str(answer.json()["asyncJobId"]) if answer.status_code == ACCEPTED else None

    @contextmanager
    def delayed_submit(self, seconds: float) -> Iterator[Future[httpx.Response]]:
        """Submit the job with a delay of its record's put, and enter once that is on its way: other requests then come before it."""
        call = crashpoints.call_name("dynamodb_jobs.DynamoStore.add_if_absent:PutItem", "add_if_absent < SubmitPipeline._put")
        headers = {crashpoints.CALL: call, crashpoints.ABOUT: self.job_id}
        with self.stage.pairs, ThreadPoolExecutor(1) as pool:
            [rule] = self.stage.proxy.add([{"headers": headers, "times": 1, "latency": seconds * 1000}])
            submit = pool.submit(self.submit)
            while not (submit.done() or self.stage.proxy.fired(rule)):
                time.sleep(0.02)
            yield submit

    def follow_on_the_bus(self) -> str:
        """Send what the bus gets about the job to a queue of its own, and return the queue's URL."""
        events, sqs = self.stage.client("events"), self.stage.client("sqs")
        url: str = sqs.create_queue(QueueName=self.job_id)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["asyncjobs"], "detail": {"asyncJobId": [self.job_id]}}
        events.put_rule(Name=self.job_id, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=self.job_id, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    # ── Check ────────────────────────────────────────────────────────────────────────────────────────────

    def is_absent(self) -> None:
        """Check that no job was accepted."""
        answer = self.caller.job(self.job_id)
        assert answer.status_code == NOT_FOUND, _shown(answer)
        assert not self.life().states, f"there is a record: {self.life()}"

    def is_retried_already(self) -> bool:
        """Return whether the cancelled job has been retried."""
        answer = self.caller.job(self.job_id)
        assert answer.status_code == OK, _shown(answer)
        return bool(answer.json()["status"] != "CANCELLED")

    def has_second_generation(self) -> None:
        """Wait until the stream shows the job's second generation."""
        life = self.stage.history.wait(self.job_id, lambda life: len(life.generations()) > 1, seconds=LONGEST_WAIT)
        assert len(life.generations()) > 1, f"no second generation: {life}"

    def is_deleted_completely(self) -> None:
        """Check that nothing is left of the job, for its owner, in the table or in the bucket, and that its key makes a new one."""
        self._has_fired()
        answer = self.caller.job(self.job_id)
        assert answer.status_code == NOT_FOUND, _shown(answer)
        pk = {"pk": {"S": f"J#{self.caller.owner}#{self.job_id}"}}
        item = self.stage.client("dynamodb").get_item(TableName=self.stage.outputs.table_name, Key=pk, ConsistentRead=True)
        assert "Item" not in item, item
        bucket, inputs = self.stage.outputs.bucket_name, f"inputs/{quote(self.caller.owner, safe='')}/{self.job_id}/"
        for prefix in (inputs, f"results/{self.job_id}/"):
            left = self.stage.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            assert not left, left
        self.is_accepted(replayed=False)
        self.has_second_generation()
        assert not self.life().faults(), f"{self.life().faults()}: {self.life()}"

    def is_delivered_once(self, received: Callable[[], Sequence[Received]]) -> None:
        """Check that the job's end has one delivery, which has arrived under its id, as often as it was tried."""
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            deliveries = self.caller.deliveries().json()["jobs"]
            about = [each for each in deliveries if each["metadata"]["asyncJobId"] == self.job_id]
            if about and all(each["status"] == "COMPLETED" for each in about):
                break
            assert time.monotonic() < deadline, f"not delivered: {about}"
            time.sleep(0.5)
        assert [each["metadata"]["event"] for each in about] == ["job.completed"]
        assert {each.id for each in received()} == {about[0]["asyncJobId"]}

    def has_all_events(self) -> None:
        """Wait until the log has each change of the job exactly once: the stream delivers what a fault has left out again."""
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            answer = self.caller.events(self.job_id)
            assert answer.status_code == OK, _shown(answer)
            events = answer.json()["events"]
            if all(event["type"] != "snapshot" for event in events):
                break
            assert time.monotonic() < deadline, f"events are missing: {_shown(answer)}"
            time.sleep(0.5)
        states = [(int(state["seq"]), state["status"]) for state in self.life().states]
        assert [(event["seq"], event["status"]) for event in events] == list(dict.fromkeys(states)), _shown(answer)

    def has_no_events(self) -> None:
        """Wait until nothing of the job's events is stored."""
        deadline = time.monotonic() + LONGEST_WAIT
        dynamodb, table = self.stage.client("dynamodb"), self.stage.outputs.table_name
        of_job = {
            "FilterExpression": "begins_with(pk, :of)",
            "ExpressionAttributeValues": {":of": {"S": f"E#{self.caller.owner}#{self.job_id}#"}},
        }
        while any(page["Items"] for page in dynamodb.get_paginator("scan").paginate(TableName=table, **of_job)):
            assert time.monotonic() < deadline, "the events of a deleted job are left"
            time.sleep(0.5)

    def has_published(self, url: str, types: Sequence[str]) -> None:
        """Wait until the queue has got events of these types, each of them under one id."""
        sqs, ids = self.stage.client("sqs"), {name: set[str]() for name in types}
        deadline = time.monotonic() + LONGEST_WAIT
        while not all(ids.values()):
            assert time.monotonic() < deadline, f"published: {ids}"
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                event = json.loads(message["Body"])
                ids[event["detail-type"].removeprefix("asyncjobs.job.")].add(event["detail"]["id"])
        assert all(len(found) == 1 for found in ids.values()), ids

    def life(self) -> Life:
        return self.stage.history.lives.get(self.job_id, Life())

    def is_finished(self) -> Life:
        """Wait for the end of the job."""
        life = self.stage.history.wait(self.job_id, lambda life: life.is_over, seconds=LONGEST_WAIT)
        assert life.is_over, f"stuck: {life}"
        return life

    def had_enough_time(self) -> None:
        """Wait for the end of a quick job. One that was handed over first, on a busy machine, must run once more."""
        if any("HANDED_OVER" in state.get("error", "") for state in self.is_finished().states):
            raise NotFired("it took too long in the submit function")

    def ends(self, status: str, *, attempts: int, error: str | None = None) -> None:
        """Check that the job ended once with this outcome, that its owner can read it, and that a replay returns it."""
        life = self.is_finished()
        self._has_fired()
        last = life.last or {}
        assert (last["status"], int(last["attempt"])) == (status, attempts), f"expected {status}/{attempts}: {life}"
        if error is not None:
            assert f'"code": "{error}"' in last["error"], last["error"]
        if status == "COMPLETED":
            self._has_result(last)
        answer = self.caller.job(self.job_id)
        assert (answer.status_code, answer.json().get("status")) == (OK, status), _shown(answer)
        if error == ROLLED_BACK:
            # Nothing was accepted under the key, so nothing is replayed.
            assert (again := self.submit()).status_code == CONFLICT, _shown(again)
        else:
            self.is_accepted(replayed=True)
        assert not life.faults(), f"{life.faults()}: {life}"
        starts = [attempt for job_id, attempt in self.stage.starts() if job_id == self.job_id]
        assert len(set(starts)) == len(starts) <= attempts, f"attempts that started: {starts}"

    def has_met_its_fault(self) -> bool:
        return self.armed is not None and self.armed.fired() > 0

    def _has_fired(self) -> None:
        assert self.armed is not None, "the fault was never armed"
        # An applied write may end the job long before the SDK gives up on the answer, or before the stream's reader sees the end.
        deadline = time.monotonic() + LONGEST_WAIT / 3
        while self.armed.fired() < self.armed.least:
            if time.monotonic() > deadline:
                raise NotFired(f"the fault fired {self.armed.fired()} of {self.armed.least} times: {self.life()}")
            time.sleep(0.5)

    def _has_result(self, last: State) -> None:
        wanted = digest(self.note)
        if self.job_type == "crash.attaches":
            assert last["result"] == '"asyncjobs:artifact:1"', last["result"]
            assert self._object(f"results/{self.job_id}/{last['gen']}/{last['attempt']}.1") == wanted
            return
        if last["resultType"] == "INLINE":
            assert last["result"] == f'"{wanted}"', last["result"]
            return
        location = last["resultLocation"]
        assert location == f"results/{self.job_id}/{last['gen']}/{last['attempt']}", "it names the bytes of another attempt"
        body = self._object(location)
        streamed = wanted * (MEGABYTE // 64) * 9
        long = streamed if self.job_type == "crash.streams" else f'"{wanted * 300}"'
        assert body == long, f"wrong bytes, {len(body)} of them"

    def _object(self, location: str) -> str:
        answer = self.stage.client("s3").get_object(Bucket=self.stage.outputs.bucket_name, Key=location)
        body: bytes = answer["Body"].read()
        return body.decode()


def _shown(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:300]}"
