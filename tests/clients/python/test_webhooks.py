"""Webhooks are verified as Standard Webhooks 1.0 says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from asyncjobs_client import InvalidWebhook, verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret").decode()
BODY = '{"test": 2432232314}'
NOW = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def signed(body: str, **other: str) -> dict[str, str]:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    content = f"m1.{NOW}.{body}".encode()
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": "m1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,{signature}", **other}


def test_published_example_is_valid() -> None:
    found = verify_webhook(BODY, HEADERS, SECRET, now=NOW)
    assert (found.id, found.data, found.type) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", {"test": 2432232314}, None)
    assert found.sent_at.timestamp() == NOW


def test_signature_of_the_reference_library_is_valid() -> None:
    sent = datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(SECRET).sign("m1", sent, BODY)
    headers = {"webhook-id": "m1", "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert verify_webhook(BODY, headers, SECRET, now=NOW).sent_at == sent


@pytest.mark.parametrize(
    "headers",
    [
        {name.title(): value for name, value in HEADERS.items()},
        {**HEADERS, "webhook-signature": f"v1,AAAA v2,BBBB {HEADERS['webhook-signature']}"},
    ],
)
def test_case_of_names_and_further_signatures_do_not_matter(headers: dict[str, str]) -> None:
    assert verify_webhook(BODY.encode(), headers, [OTHER, SECRET], now=NOW).data == {"test": 2432232314}


def test_type_is_that_of_the_body() -> None:
    body = json.dumps({"type": "job.completed", "data": {}})
    assert verify_webhook(body, signed(body), SECRET, now=NOW + 299).type == "job.completed"


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"body": BODY + " "}, "No signature"),
        ({"secret": OTHER}, "No signature"),
        ({"now": NOW + 301}, "clock"),
        ({"now": NOW - 301}, "clock"),
        ({"headers": {**HEADERS, "webhook-id": "msg_other"}}, "No signature"),
        ({"headers": {**HEADERS, "webhook-timestamp": "1e9"}}, "number of seconds"),
        ({"headers": {**HEADERS, "webhook-signature": "v1a," + HEADERS["webhook-signature"][3:]}}, "No signature"),
        ({"headers": {"webhook-id": "m1"}}, "webhook-timestamp"),
        ({"body": "no JSON", "headers": signed("no JSON")}, "not JSON"),
    ],
)
def test_anything_else_is_invalid(changes: dict[str, Any], because: str) -> None:
    given = {"body": BODY, "headers": HEADERS, "secret": SECRET, "now": NOW, **changes}
    with pytest.raises(InvalidWebhook, match=because):
        verify_webhook(given["body"], given["headers"], given["secret"], now=given["now"])


def test_secret_of_another_form_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(BODY, HEADERS, "not base64!", now=NOW)
