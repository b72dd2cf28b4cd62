"""Verify a webhook, by the specification Standard Webhooks 1.0."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncjobs_client.errors import InvalidWebhook

_PREFIX = "whsec_"


@dataclass(frozen=True)
class Webhook:
    """A webhook whose signature is valid."""

    id: str
    """The same in every delivery of the same event: ignore one that you have seen."""
    sent_at: datetime
    type: str | None
    data: Any
    """The body."""


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Iterable[str],
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> Webhook:
    """Return the webhook if it was signed with the secret, and no longer ago than `tolerance` seconds.

    `body` is the body as it arrived: JSON that was parsed and written again has another signature. While a secret is
    exchanged, give both. Raise `InvalidWebhook` otherwise: answer it with 400.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identity, stamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise InvalidWebhook(f"The header {error} is missing.") from None
    sent = _seconds(stamp)
    if abs((time.time() if now is None else now) - sent) > tolerance:
        raise InvalidWebhook(f"The webhook was signed more than {tolerance:g} s from now. Check this machine's clock.")
    content = body.encode() if isinstance(body, str) else body
    signed = f"{identity}.{stamp}.".encode() + content
    given_signatures = [value for version, _, value in (each.partition(",") for each in signatures.split()) if version == "v1"]
    secrets = [secret] if isinstance(secret, str) else secret
    expected = [base64.b64encode(hmac.digest(_key(each), signed, hashlib.sha256)).decode() for each in secrets]
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given_signatures):
        raise InvalidWebhook("No signature was made with this secret.")
    try:
        data = json.loads(content)
    except ValueError as error:
        raise InvalidWebhook("The body is not JSON.") from error
    kind = data.get("type") if isinstance(data, dict) else None
    return Webhook(identity, datetime.fromtimestamp(sent, UTC), kind, data)


def _seconds(stamp: str) -> int:
    if not (stamp.isascii() and stamp.isdigit()):
        raise InvalidWebhook("The header 'webhook-timestamp' is not a number of seconds.")
    return int(stamp)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"A webhook's secret is {_PREFIX!r} and base64, as the API returned it.") from error
