"""The console: its page and its files. It has no access to jobs: the browser calls the API with the user's token."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from asyncjobs.aws.log_lines import lambda_logger
from asyncjobs.http.console import Console, SignIn, sign_in_of_issuer
from asyncjobs.settings import Settings

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
issuer, client_id = settings.jwt_issuer, settings.console_client_id
scopes, audiences = settings.jwt_scopes, settings.jwt_audiences
sign_in_url, sign_in_urls = settings.sign_in_url, settings.sign_in_urls
known: list[SignIn] = []


def sign_in() -> SignIn | None:
    """Return where users sign in. An issuer that could not be reached is tried again by the next request."""
    if not issuer:
        return own_pool()
    if not known and (found := sign_in_of_issuer(issuer, client_id=client_id, scopes=scopes, audiences=audiences, read=read)):
        known.append(found)
    return known[0] if known else None


@cache
def own_pool() -> SignIn:
    """Return the sign-in page of the stack's own user pool."""
    return SignIn(
        authorize=f"{sign_in_url}/oauth2/authorize",
        token=f"{sign_in_url}/oauth2/token",
        sign_out=f"{sign_in_url}/logout",
        client_id=client_id,
        scope="openid asyncjobs/jobs",
        urls=tuple(sign_in_urls) if sign_in_url else None,  # beside the local engine, `local/` allows the console's own
    )


def read(url: str) -> bytes:
    """Return a public document of the issuer that the template names."""
    # The template permits https, and http of this machine only.
    with urlopen(Request(url, headers={"accept": "application/json"}), timeout=5) as answer:  # noqa: S310 # nosec B310
        content: bytes = answer.read(100_000)
        return content


console = Console(
    Path(__file__).with_name("console"),
    application=settings.application,
    socket_url=settings.socket_url,
    sign_in=sign_in,
    is_configured=bool(client_id),
)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return console.handle(event)
