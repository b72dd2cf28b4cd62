"""Signatures, as the reference library verifies them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from asyncjobs.core.webhook import new_secret
from asyncjobs.push.signature import signed_headers
from tests.support.factories import JOB_ID
from tests.support.programs import require
from tests.template.source import ROOT

BODY = '{"type":"job.completed","data":{"message":"Größe"}}'


def test_delivery_is_verified_by_the_secret() -> None:
    secret = new_secret()
    headers = dict(signed_headers(JOB_ID, BODY, [secret], datetime.now(UTC)))
    assert Verifier(secret).verify(BODY, headers)["type"] == "job.completed"
    assert headers["webhook-id"] == JOB_ID


@pytest.mark.parametrize("secret", [new_secret(), "whsec_dGVzdA=="])
def test_delivery_is_not_verified_by_another_secret(secret: str) -> None:
    headers = dict(signed_headers(JOB_ID, BODY, [new_secret()], datetime.now(UTC)))
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(BODY, headers)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "body"])
def test_delivery_with_a_changed_part_is_not_verified(part: str) -> None:
    secret, now = new_secret(), datetime.now(UTC)
    headers = dict(signed_headers(JOB_ID, BODY, [secret], now))
    changed = {
        **headers,
        **{"webhook-id": {"webhook-id": "other"}, "webhook-timestamp": {"webhook-timestamp": "1"}}.get(part, {}),
    }
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(BODY + " " if part == "body" else BODY, changed)


def test_delivery_is_verified_by_either_secret_during_a_rotation() -> None:
    old, new = new_secret(), new_secret()
    headers = dict(signed_headers(JOB_ID, BODY, [new, old], datetime.now(UTC)))
    for secret in (old, new):
        assert Verifier(secret).verify(BODY, headers)


# ── The receivers of docs/notifications.md ───────────────────────────────────────────────────────────


def example(language: str) -> str:
    text = (ROOT / "docs/notifications.md").read_text()
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return str(code)


def by_python(secret: str, headers: dict[str, str], body: str) -> str:
    names: dict[str, Any] = {}
    exec(example("python"), names)
    event: dict[str, Any] = names["verified"](secret, headers, body.encode())
    return str(event["type"])


def by_javascript(secret: str, headers: dict[str, str], body: str) -> str:
    require("node", "nodejs")
    call = f"console.log(verified({json.dumps(secret)}, {json.dumps(headers)}, {json.dumps(body)}).type)"
    script = example("javascript").replace("export function", "function") + call
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise WebhookVerificationError(done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize("verified", [by_python, by_javascript])
def test_documented_receiver_accepts_a_delivery_also_during_a_rotation(
    verified: Callable[[str, dict[str, str], str], str],
) -> None:
    old, new = new_secret(), new_secret()
    headers = dict(signed_headers(JOB_ID, BODY, [new, old], datetime.now(UTC)))
    assert [verified(secret, headers, BODY) for secret in (old, new)] == ["job.completed"] * 2


@pytest.mark.parametrize("verified", [by_python, by_javascript])
@pytest.mark.parametrize("fault", ["secret", "body", "old", "missing"])
def test_documented_receiver_refuses_any_other_request(verified: Callable[[str, dict[str, str], str], str], fault: str) -> None:
    secret, now = new_secret(), datetime.now(UTC) - timedelta(minutes=6 if fault == "old" else 0)
    headers = dict(signed_headers(JOB_ID, BODY, [secret], now))
    if fault == "missing":
        del headers["webhook-signature"]
    with pytest.raises(WebhookVerificationError):
        verified(new_secret() if fault == "secret" else secret, headers, BODY + " " if fault == "body" else BODY)
