"""Sign deliveries by Standard Webhooks 1.0, with its reference library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from standardwebhooks import Webhook as Signer


def signed_headers(message_id: str, body: str, secrets: Iterable[str], now: datetime) -> Mapping[str, str]:
    """Return the headers that prove the sender: one signature for each secret, of which the receiver needs one."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(message_id, now, body) for secret in secrets),
    }
