"""The answers of the operations on webhooks, for real HTTP API events."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.webhook import ENDS, OwnerWebhooks
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_webhook
from tests.support.http_events import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    JOB,
    JOB_TYPES,
    JOBS,
    ROTATE_WEBHOOK,
    SUBMIT,
    TEST_WEBHOOK,
    WEBHOOKS,
    Answer,
)
from tests.unit.http.in_memory_api import BODY, InMemoryApi

URL = "https://app.example.com/events"
ABOUT_ONE = [DELETE_WEBHOOK, ROTATE_WEBHOOK, TEST_WEBHOOK]


def create(api: InMemoryApi, owner: str = OWNER, **fields: Any) -> Answer:
    return api.call(CREATE_WEBHOOK, owner=owner, body=json.dumps({"url": URL, **fields}))


def about(api: InMemoryApi, route: str, webhook_id: str, owner: str = OWNER) -> Answer:
    return api.call(route, owner=owner, path={"webhookId": webhook_id})


def test_created_webhook_is_answered_with_its_secret(api: InMemoryApi) -> None:
    answer = create(api)
    assert answer.status == 201
    assert answer.body["secret"].startswith("whsec_")
    assert answer.body["events"] == list(ENDS)
    assert answer.body["jobTypes"] == []


def test_list_has_every_webhook_and_no_secret(api: InMemoryApi) -> None:
    created = [create(api, events=["job.failed"], jobTypes=["api.reads"], namedOnly=True, includeResult=True), create(api)]
    answer = api.call(WEBHOOKS)
    without = [{name: value for name, value in each.body.items() if name != "secret"} for each in created]
    assert (answer.status, answer.body) == (200, {"webhooks": without})
    assert "whsec_" not in answer.text


def test_null_is_as_good_as_a_field_that_is_left_out(api: InMemoryApi) -> None:
    answer = create(api, events=None, jobTypes=None, namedOnly=None, includeResult=None)
    assert (answer.status, answer.body["events"]) == (201, list(ENDS))


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "http://app.example.com/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": 7}, "/url"),
        ({"url": "https://" + "a" * 1000}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["job.progress"]}, "/events/0"),
        ({"events": ["job.failed", "job.failed"]}, "/events"),
        ({"jobTypes": [""]}, "/jobTypes/0"),
        ({"jobTypes": ["a"] * 21}, "/jobTypes"),
        ({"namedOnly": "yes"}, "/namedOnly"),
        ({"secret": "whsec_dGVzdA=="}, "/secret"),
    ],
)
def test_invalid_field_is_400_with_its_place(api: InMemoryApi, fields: Any, pointer: str) -> None:
    answer = create(api, **fields)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert pointer in answer.pointers
    assert api.call(WEBHOOKS).body == {"webhooks": []}


def test_webhook_without_url_is_400(api: InMemoryApi) -> None:
    assert api.call(CREATE_WEBHOOK, body="{}").pointers == ["/url"]


def test_eleventh_webhook_is_409(api: InMemoryApi) -> None:
    for _ in range(10):
        create(api)
    assert (create(api).status, create(api).code) == (409, "TOO_MANY_WEBHOOKS")


def test_rotation_is_answered_with_the_new_secret_and_the_end_of_the_old_one(api: InMemoryApi) -> None:
    created = create(api).body
    answer = about(api, ROTATE_WEBHOOK, created["webhookId"])
    assert answer.status == 200
    assert answer.body["secret"] != created["secret"]
    assert answer.body["previousSecretValidUntil"] == "2026-11-22T12:00:00.000Z"
    api.clock.advance(seconds=timedelta(days=1).total_seconds())
    assert api.call(WEBHOOKS).body["webhooks"][0]["previousSecretValidUntil"] is None


def test_disabled_webhook_says_since_when_and_why(api: InMemoryApi) -> None:
    assert api.webhooks is not None
    api.webhooks.stored[OWNER] = OwnerWebhooks(OWNER, (new_webhook().refused(now=NOW),), 1)
    (found,) = api.call(WEBHOOKS).body["webhooks"]
    assert (found["disabledAt"], found["disabledReason"]) == ("2026-11-21T12:00:00.000Z", "REFUSED")
    assert found["failingSince"] == "2026-11-21T12:00:00.000Z"


def test_deleted_webhook_is_not_listed(api: InMemoryApi) -> None:
    webhook_id = create(api).body["webhookId"]
    assert about(api, DELETE_WEBHOOK, webhook_id).status == 204
    assert api.call(WEBHOOKS).body == {"webhooks": []}
    assert about(api, DELETE_WEBHOOK, webhook_id).code == "WEBHOOK_NOT_FOUND"


@pytest.mark.parametrize("route", ABOUT_ONE)
def test_unknown_malformed_and_foreign_webhooks_have_the_same_404(api: InMemoryApi, route: str) -> None:
    foreign = create(api, owner="bob").body["webhookId"]
    answers = [about(api, route, webhook_id) for webhook_id in (WEBHOOK_ID, "none", foreign, "../jobs")]
    assert {(answer.status, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert len(api.call(WEBHOOKS, owner="bob").body["webhooks"]) == 1


def test_id_may_be_written_in_upper_case(api: InMemoryApi) -> None:
    assert about(api, ROTATE_WEBHOOK, create(api).body["webhookId"].upper()).status == 200


# ── Deliveries ───────────────────────────────────────────────────────────────────────────────────────


def test_test_is_answered_with_its_delivery_which_is_a_job(api: InMemoryApi) -> None:
    answer = about(api, TEST_WEBHOOK, create(api).body["webhookId"])
    assert (answer.status, answer.body["jobType"], answer.body["status"]) == (202, "webhook.deliver", "PENDING")
    assert answer.headers["location"] == f"../../jobs/{answer.body['asyncJobId']}"
    assert "retry-after" in answer.headers
    assert api.call(JOB, async_job_id=answer.body["asyncJobId"]).body["metadata"]["event"] == "webhook.test"


def test_deliveries_are_listed_by_their_type_only(api: InMemoryApi) -> None:
    job = api.submit(BODY).body
    delivery = about(api, TEST_WEBHOOK, create(api).body["webhookId"]).body
    assert [each["asyncJobId"] for each in api.call(JOBS).body["jobs"]] == [job["asyncJobId"]]
    listed = api.call(JOBS, query={"jobType": "webhook.deliver"}).body["jobs"]
    assert [each["asyncJobId"] for each in listed] == [delivery["asyncJobId"]]


def test_delivery_cannot_be_submitted_by_a_client(api: InMemoryApi) -> None:
    answer = api.submit({"jobType": "webhook.deliver", "input": {"owner": "bob"}})
    assert (answer.status, answer.code) == (400, "UNKNOWN_JOB_TYPE")
    assert "webhook.deliver" not in api.call(JOB_TYPES).text


# ── A webhook for a single job ───────────────────────────────────────────────────────────────────────


def test_submit_may_name_a_webhook(api: InMemoryApi) -> None:
    webhook_id = create(api, namedOnly=True).body["webhookId"]
    answer = api.submit({**BODY, "webhook": webhook_id})
    assert answer.status == 202
    (job,) = api.store.jobs.values()
    assert job.webhook == webhook_id


@pytest.mark.parametrize("foreign", [False, True])
def test_submit_that_names_no_webhook_of_the_owner_is_refused(api: InMemoryApi, *, foreign: bool) -> None:
    webhook_id = create(api, owner="bob").body["webhookId"] if foreign else JOB_ID
    answer = api.submit({**BODY, "webhook": webhook_id})
    assert (answer.status, answer.code) == (400, "UNKNOWN_WEBHOOK")
    assert api.store.jobs == {}


def test_submit_without_a_webhook_reads_none(api: InMemoryApi) -> None:
    api.submit(BODY)
    assert api.webhooks is not None
    assert api.webhooks.calls == 0


def test_webhook_is_part_of_the_request_that_an_idempotency_key_names(api: InMemoryApi) -> None:
    webhook_id = create(api).body["webhookId"]
    assert api.submit({**BODY, "webhook": webhook_id}, key="k").status == 202
    assert api.submit({**BODY, "webhook": webhook_id}, key="k").headers["idempotency-replayed"] == "true"
    assert api.submit(BODY, key="k").code == "IDEMPOTENCY_KEY_REUSED"


def test_replay_stays_one_after_its_webhook_was_deleted(api: InMemoryApi) -> None:
    webhook_id = create(api).body["webhookId"]
    accepted = api.submit({**BODY, "webhook": webhook_id}, key="k")
    about(api, DELETE_WEBHOOK, webhook_id)
    replay = api.submit({**BODY, "webhook": webhook_id}, key="k")
    assert (replay.status, replay.headers["idempotency-replayed"]) == (202, "true")
    assert replay.body["asyncJobId"] == accepted.body["asyncJobId"]
    assert api.submit({**BODY, "webhook": webhook_id}, key="another").code == "UNKNOWN_WEBHOOK"


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_deployment_without_webhooks_refuses_each_request() -> None:
    off = InMemoryApi(webhooks=None)
    answers = [create(off), off.call(WEBHOOKS), *(about(off, route, WEBHOOK_ID) for route in ABOUT_ONE)]
    answers.append(off.call(SUBMIT, body=json.dumps({**BODY, "webhook": WEBHOOK_ID})))
    assert {(answer.status, answer.code) for answer in answers} == {(403, "WEBHOOKS_OFF")}
    assert off.store.jobs == {}


def test_table_that_does_not_answer_is_503(api: InMemoryApi) -> None:
    assert api.webhooks is not None
    calls: list[Callable[[], Answer]] = [
        lambda: create(api),
        lambda: api.call(WEBHOOKS),
        lambda: about(api, ROTATE_WEBHOOK, WEBHOOK_ID),
    ]
    for call in calls:
        api.webhooks.failures = deque([Unavailable()])
        answer = call()
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
