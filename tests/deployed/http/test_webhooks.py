"""Webhooks, through the gateway, with a receiver that verifies each delivery by the reference library."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.deployed import UNKNOWN, Caller, Job, LimitedDeployment
from tests.support.receiver import Receiver, receiving

Webhook = dict[str, Any]
Create = Callable[..., Webhook]


def after_test(user: Caller, webhook: Webhook) -> Job:
    """Request a test delivery, and return it when it has ended."""
    answer = user.post(f"/webhooks/{webhook['webhookId']}/test")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return user.wait_for(answer.json())


def listed(user: Caller) -> list[Webhook]:
    found: list[Webhook] = user.get("/webhooks").raise_for_status().json()["webhooks"]
    return found


def test_test_delivery_is_signed_and_its_job_has_the_receivers_status(user: Caller, receiver: Receiver, create: Create) -> None:
    webhook = create()
    delivery = after_test(user, webhook)
    assert (delivery["status"], delivery["result"]["status"]) == ("COMPLETED", 204)
    (received,) = receiver.received
    assert received.event == {
        "type": "webhook.test",
        "timestamp": delivery["createdAt"],
        "data": {"webhookId": webhook["webhookId"]},
    }
    assert received.id == delivery["asyncJobId"]


def test_webhook_is_listed_without_its_secret_until_it_is_deleted(user: Caller, create: Create) -> None:
    webhook = create(events=["job.failed"], jobTypes=["a.b"], namedOnly=True, includeResult=True)
    secret = webhook.pop("secret")
    assert listed(user) == [webhook]
    assert secret not in user.get("/webhooks").text
    path = f"/webhooks/{webhook['webhookId']}"
    assert user.delete(path).status_code == httpx.codes.NO_CONTENT
    assert user.delete(path).json()["code"] == "WEBHOOK_NOT_FOUND"
    assert listed(user) == []


def test_delivery_after_a_rotation_is_verified_by_either_secret(user: Caller, receiver: Receiver, create: Create) -> None:
    webhook = create()
    rotated = user.post(f"/webhooks/{webhook['webhookId']}/rotate").raise_for_status().json()
    for secret in (webhook["secret"], rotated["secret"]):
        receiver.secrets = [secret]
        after_test(user, webhook)
    assert [received.event is not None for received in receiver.received] == [True, True]
    user.post(f"/webhooks/{webhook['webhookId']}/rotate").raise_for_status()
    receiver.secrets = [webhook["secret"]]
    after_test(user, webhook)
    assert receiver.received[-1].event is None, "of three secrets, the first one is over"


@pytest.mark.parametrize("status", [400, 500])
def test_status_other_than_2xx_is_a_failure_with_its_reason(
    user: Caller, receiver: Receiver, create: Create, status: int
) -> None:
    webhook = create()
    receiver.answer = lambda _received, _number: (status, {})
    delivery = after_test(user, webhook)
    assert (delivery["status"], delivery["error"]["code"]) == ("FAILED", "WEBHOOK_REJECTED")
    assert delivery["error"]["message"] == f"The receiver answered {status}."
    assert listed(user)[0]["failingSince"] is not None


def test_redirect_is_a_failure_and_is_not_followed(user: Caller, receiver: Receiver, create: Create) -> None:
    webhook = create()
    with receiving() as other:
        receiver.answer = lambda _received, _number: (307, {"location": other.url})
        assert after_test(user, webhook)["error"]["message"] == "The receiver answered 307."
        assert (len(receiver.received), other.received) == (1, [])


def test_receiver_that_does_not_answer_in_time_is_a_failure(user: Caller, receiver: Receiver, create: Create) -> None:
    webhook = create()

    def slow(_received: Any, _number: int) -> tuple[int, dict[str, str]]:
        time.sleep(20)
        return 204, {}

    receiver.answer = slow
    began = time.monotonic()
    assert after_test(user, webhook)["error"]["code"] == "WEBHOOK_TIMED_OUT"
    assert time.monotonic() - began >= 15


def test_answer_410_disables_the_webhook_and_a_test_that_succeeds_enables_it(
    user: Caller, receiver: Receiver, create: Create
) -> None:
    webhook = create()
    receiver.answer = lambda _received, number: (410 if number == 0 else 204, {})
    assert after_test(user, webhook)["error"]["code"] == "WEBHOOK_REFUSED"
    assert listed(user)[0]["disabledReason"] == "REFUSED"
    assert after_test(user, webhook)["status"] == "COMPLETED"
    assert (listed(user)[0]["disabledAt"], listed(user)[0]["disabledReason"]) == (None, None)


def test_failed_delivery_is_delivered_again_by_a_retry_with_the_same_id(
    user: Caller, receiver: Receiver, create: Create
) -> None:
    webhook = create()
    receiver.answer = lambda _received, number: (500 if number == 0 else 204, {})
    delivery = after_test(user, webhook)
    assert user.post(f"/jobs/{delivery['asyncJobId']}/retry").status_code == httpx.codes.ACCEPTED
    assert user.wait_for(delivery)["status"] == "COMPLETED"
    assert {received.id for received in receiver.received} == {delivery["asyncJobId"]}
    assert len(receiver.received) == 2


def test_deliveries_are_listed_by_their_type_only(user: Caller, create: Create) -> None:
    delivery = after_test(user, create())
    assert user.get("/jobs").json()["jobs"] == []
    found = user.get("/jobs", params={"jobType": "webhook.deliver"}).json()["jobs"]
    assert [job["asyncJobId"] for job in found] == [delivery["asyncJobId"]]
    assert user.delete(f"/jobs/{delivery['asyncJobId']}").status_code == httpx.codes.NO_CONTENT


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://169.254.169.254/", "ftp://127.0.0.1/"])
def test_url_of_an_address_that_is_not_public_is_rejected(user: Caller, url: str) -> None:
    answer = user.post("/webhooks", json={"url": url})
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (400, ["/url"])


def test_name_that_does_not_lead_to_this_machine_gets_no_request(user: Caller) -> None:
    answer = user.post("/webhooks", json={"url": "https://app.example.com/"})
    assert answer.status_code == httpx.codes.CREATED
    assert after_test(user, answer.json())["error"]["code"] in {"WEBHOOK_ADDRESS_REFUSED", "WEBHOOK_UNREACHABLE"}


def test_eleventh_webhook_is_409(user: Caller, create: Create) -> None:
    for _ in range(10):
        create()
    answer = user.post("/webhooks", json={"url": "http://127.0.0.1/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "TOO_MANY_WEBHOOKS")


def test_unknown_webhook_is_not_found(user: Caller) -> None:
    answers = [
        user.delete(f"/webhooks/{UNKNOWN}"),
        user.post(f"/webhooks/{UNKNOWN}/rotate"),
        user.post(f"/webhooks/{UNKNOWN}/test"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "WEBHOOK_NOT_FOUND")}
    submit = user.post("/jobs", json={"webhook": UNKNOWN})
    assert (submit.status_code, submit.json()["code"]) == (400, "UNKNOWN_WEBHOOK")


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "INVALID_JSON"), (b'{"url": 7}', "INVALID_REQUEST"), (b" " * 300_000, "REQUEST_TOO_LARGE")]
)
def test_invalid_body_is_refused(user: Caller, body: bytes, code: str) -> None:
    answer = user.post("/webhooks", content=body, headers={"content-type": "application/json"})
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("content-type", "text/plain", "UNSUPPORTED_MEDIA_TYPE"),
        ("content-encoding", "br", "UNSUPPORTED_CONTENT_ENCODING"),
        ("accept", "text/html", "NOT_ACCEPTABLE"),
    ],
)
def test_other_formats_are_refused(user: Caller, header: str, value: str, code: str) -> None:
    answer = user.post("/webhooks", content=b"{}", headers={"content-type": "application/json", header: value})
    assert answer.json()["code"] == code


def test_each_answer_is_json(user: Caller) -> None:
    html = {"accept": "text/html"}
    answers = [
        user.get("/webhooks", headers=html),
        user.post(f"/webhooks/{UNKNOWN}/rotate", headers=html),
        user.post(f"/webhooks/{UNKNOWN}/test", headers=html),
    ]
    assert {answer.json()["code"] for answer in answers} == {"NOT_ACCEPTABLE"}


def test_deployment_without_webhooks_refuses_each_request(limited: LimitedDeployment) -> None:
    caller = limited.api.caller("no-webhooks")
    answers = [
        caller.get("/webhooks"),
        caller.post("/webhooks", json={"url": "http://127.0.0.1/"}),
        caller.delete(f"/webhooks/{UNKNOWN}"),
        caller.post(f"/webhooks/{UNKNOWN}/rotate"),
        caller.post(f"/webhooks/{UNKNOWN}/test"),
        caller.post("/jobs", json={"webhook": UNKNOWN}),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "WEBHOOKS_OFF")}
