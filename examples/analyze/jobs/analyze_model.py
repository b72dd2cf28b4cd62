"""A language model behind any HTTP endpoint that speaks the chat completions protocol of OpenAI.

The endpoint is the operator's, and no caller can name another one. Redirects are not followed, since they would take the
key to another host.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from asyncjobs import Fatal, Retry

REQUEST_SECONDS = 60.0
"""The longest wait for the next bytes of an answer."""
MAX_ANSWER = 1_000_000
"""Bytes."""
CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English, for a model that does not count."""
_DEFAULT_WAIT, _LONGEST_WAIT = 5.0, 3600.0


class Busy(Exception):
    """The model takes no request now. Send it again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The model is busy for {seconds:g} s.")
        self.seconds = seconds


@dataclass(frozen=True)
class Reply:
    """What the model answered, and the tokens that the request and its answer took."""

    text: str
    tokens: int
    is_cut: bool
    """Whether the model stopped at the most tokens that it was allowed."""


@dataclass(frozen=True)
class Model:
    """A model by its endpoint, such as `https://api.example.com/v1`, and its name there."""

    endpoint: str
    name: str
    key: str | None = field(default=None, repr=False)

    def complete(self, instruction: str, text: str, *, max_tokens: int, seconds: float) -> Reply:
        """Send a request, and wait for its answer for about so many seconds.

        Raises `Busy`; `Fatal` if the same request can never succeed; `Retry` if a later one may.
        """
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
        body = {"model": self.name, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        answer = self._post(json.dumps(body).encode(), seconds)
        reply = _reply(answer)
        if reply is None:
            raise Retry("The model's answer cannot be read.", code="MODEL_ANSWER_INVALID")
        if reply.tokens:
            return reply
        estimate = (len(instruction) + len(text) + len(reply.text)) // CHARACTERS_PER_TOKEN
        return Reply(reply.text, estimate, reply.is_cut)

    def _post(self, body: bytes, seconds: float) -> bytes:
        url = urlsplit(self.endpoint)
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        connection = _connection(url, min(max(seconds, 1.0), REQUEST_SECONDS))
        try:
            connection.request("POST", f"{url.path.rstrip('/')}/chat/completions", body, headers)
            with connection.getresponse() as response:
                _check(response)
                answer = response.read(MAX_ANSWER + 1)
        except (OSError, HTTPException) as error:
            raise Retry("The model cannot be reached.", code="MODEL_UNAVAILABLE") from error
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER:
            raise Retry("The model's answer cannot be read.", code="MODEL_ANSWER_INVALID")
        return answer


def _connection(url: SplitResult, seconds: float) -> HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "https":
        return HTTPSConnection(host, url.port, timeout=seconds, context=ssl.create_default_context())
    return HTTPConnection(host, url.port, timeout=seconds)


def _check(response: HTTPResponse) -> None:
    """Raise what a status other than 200 means. The body may quote the key or the document, so it is not read."""
    status, wait = response.status, _seconds(response.getheader("retry-after"))
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None):
        raise Busy(_DEFAULT_WAIT if wait is None else wait)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Fatal("The model refuses this deployment's key. Its operator can help.", code="MODEL_REFUSED_KEY")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        raise Retry(f"The model failed with HTTP {status}.", code="MODEL_UNAVAILABLE")
    raise Fatal(f"The model rejected the request with HTTP {status}. The operator can help.", code="MODEL_REJECTED_REQUEST")


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that `Retry-After` names, as a number or as a date (RFC 9110 10.2.3)."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - not a number


def _reply(answer: bytes) -> Reply | None:
    """Read the first choice; None for an answer that has none."""
    try:
        found: Any = json.loads(answer)
        choice = found["choices"][0]
        text, tokens = choice["message"]["content"], (found.get("usage") or {}).get("total_tokens")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(text, str) or not text.strip():
        return None
    return Reply(text.strip(), tokens if isinstance(tokens, int) and tokens > 0 else 0, choice.get("finish_reason") == "length")
