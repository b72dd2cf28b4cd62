"""A sign-in by Secure Remote Password, as Cognito's client libraries make it: the password never leaves this process."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

G = 2


def sign_in(pool: Any, *, pool_id: str, client_id: str, username: str, password: str) -> Mapping[str, Any]:
    """Return the tokens. `pool` is a client of Cognito, which needs no AWS credentials for these calls."""
    ours = secrets.randbelow(2**256)
    a = pow(G, ours, N)
    begun = pool.initiate_auth(
        ClientId=client_id, AuthFlow="USER_SRP_AUTH", AuthParameters={"USERNAME": username, "SRP_A": f"{a:x}"}
    )
    given = begun["ChallengeParameters"]
    b, name = int(given["SRP_B"], 16), pool_id.partition("_")[2] + given["USER_ID_FOR_SRP"]
    salted = hashlib.sha256(f"{name}:{password}".encode()).digest()
    x, u, k = _number(_bytes(int(given["SALT"], 16)), salted), _number(_bytes(a), _bytes(b)), _number(_bytes(N), _bytes(G))
    shared = pow(b - k * pow(G, x, N), ours + u * x, N)
    key = hmac.digest(hmac.digest(_bytes(u), _bytes(shared), "sha256"), b"Caldera Derived Key\x01", "sha256")[:16]
    now = datetime.now(UTC)
    moment = f"{now:%a %b} {now.day} {now:%H:%M:%S} UTC {now.year}"
    proof = hmac.digest(key, name.encode() + base64.b64decode(given["SECRET_BLOCK"]) + moment.encode(), "sha256")
    answered = pool.respond_to_auth_challenge(
        ClientId=client_id,
        ChallengeName=begun["ChallengeName"],
        ChallengeResponses={
            "USERNAME": given["USER_ID_FOR_SRP"],
            "TIMESTAMP": moment,
            "PASSWORD_CLAIM_SECRET_BLOCK": given["SECRET_BLOCK"],
            "PASSWORD_CLAIM_SIGNATURE": base64.b64encode(proof).decode(),
        },
    )
    found: Mapping[str, Any] = answered["AuthenticationResult"]
    return found


def _prime() -> int:
    """Return the prime of 3,072 bits of RFC 3526 (4), which is made of the digits of pi."""
    one = 1 << (2942 + 64)

    def arctan_of_one_by(x: int) -> int:
        term, total, n = one // x, 0, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term, n = term // (x * x), n + 2
        return total

    pi = (16 * arctan_of_one_by(5) - 4 * arctan_of_one_by(239)) >> 64
    return 2**3072 - 2**3008 - 1 + 2**64 * (pi + 1690314)


def _bytes(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")


N = _prime()
