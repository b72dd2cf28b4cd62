# Made from _async by tools/sync_client.py: change it there.
"""Requests to the API: the token, errors, retries, and the HTTP client that all jobs of one client share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import random as random_part
from typing import Any

import httpx2

from asyncjobs_client._sync.runtime import Clock, Token, result_of
from asyncjobs_client.errors import ApiConnectionError, ApiTimeout, AsyncjobsError, NotConfigured, Unauthorized
from asyncjobs_client.pauses import is_temporary, retry_pause
from asyncjobs_client.wire import USER_AGENT, Answer, Request, checked

_LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
TOKEN_VARIABLE = "ASYNCJOBS_TOKEN"  # noqa: S105 - a name


class Connection:
    """A way to the API. It pickles without its token, unless a function returns it."""

    random = staticmethod(random_part)
    """The random part of pauses. An instance's own would be pickled with its state: all copies would pause alike."""

    def __init__(
        self,
        base_url: str,
        token: Token | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 4,
        live: bool = True,
        http: httpx2.Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.max_retries = max_retries
        self.live = live
        self.clock = clock or Clock()
        self._token = token
        self._current: str | None = None
        self._http = http
        self._is_own = http is None

    @property
    def http(self) -> httpx2.Client:
        """The HTTP client. Threads and tasks may share it."""
        if self._http is None:
            self._http = httpx2.Client(limits=_LIMITS)
        return self._http

    def close(self) -> None:
        """Close the connections, unless the HTTP client is the caller's own."""
        if self._http is not None and self._is_own:
            self._http.close()

    def changed(self, token: Token | None, **options: Any) -> Connection:
        """Return a connection with other options that shares the HTTP client."""
        mine: dict[str, Any] = {name: getattr(self, name) for name in ("timeout", "max_retries", "live", "clock")}
        given = {name: value for name, value in options.items() if value is not None}
        return Connection(self.base_url, token or self._token, **(mine | given), http=self.http)

    def call(self, request: Request, *, within: float | None = None) -> Answer:
        """Return the answer. Repeat a request that may succeed later: each is safe to repeat."""
        failures = 0
        while True:
            try:
                return self.once(request, within=within)
            except AsyncjobsError as error:
                failures += 1
                self.pause(error, failures)

    def pause(self, error: AsyncjobsError, failures: int) -> None:
        """Sleep before the next try. Raise the error if there is none."""
        pause = retry_pause(error, failures, self.random)
        if pause is None or failures > self.max_retries or not is_temporary(error):
            raise error
        self.clock.sleep(pause)

    def once(self, request: Request, *, within: float | None = None) -> Answer:
        """Return the answer to one try. A token that is refused is refreshed once, if a function returns it."""
        token = self.token()
        try:
            return self._send(request, token, within or self.timeout)
        except Unauthorized:
            if not callable(self._token):
                raise
            if self._current == token:  # no other request has replaced it meanwhile
                self._current = None
        return self._send(request, self.token(), within or self.timeout)

    def _send(self, request: Request, token: str, within: float) -> Answer:
        headers = {"accept": "application/json", "authorization": f"Bearer {token}", **request.headers}
        with self.sending(
            request.method,
            self.base_url + request.path,
            params=dict(request.query) or None,
            headers=headers,
            content=request.body,
            timeout=httpx2.Timeout(within, pool=None),  # a request that waits for a connection is not one yet
            job_id=request.job_id,
        ) as response:
            answer = Answer(response.status_code, response.headers, response.read())
        return checked(request, answer)

    @contextmanager
    def sending(
        self, method: str, url: str, *, job_id: str | None = None, headers: dict[str, str], **options: Any
    ) -> Iterator[httpx2.Response]:
        """Send a request anywhere, and open the answer. What the HTTP client raises becomes an error of this client."""
        headers = {"user-agent": USER_AGENT, **headers}
        try:
            with self.http.stream(method, url, headers=headers, follow_redirects=False, **options) as response:
                yield response
        except httpx2.TimeoutException as error:
            where = url.partition("?")[0]  # the query of a link is a secret
            raise ApiTimeout(f"{method} {where}: no answer in time ({type(error).__name__}).", job_id=job_id) from error
        except httpx2.RequestError as error:
            where = url.partition("?")[0]
            raise ApiConnectionError(f"{method} {where}: {type(error).__name__}: {error}", job_id=job_id) from error

    def token(self) -> str:
        """Return the token. A function is called for the first one, and again after a refusal."""
        current = self._current  # another thread may clear it at any time
        if current is None:
            token = self._token or os.environ.get(TOKEN_VARIABLE)
            if not token:
                raise NotConfigured(f"A token is missing: pass `token`, or set {TOKEN_VARIABLE}.")
            self._current = current = result_of(token() if callable(token) else token)
        return current

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_http": None, "_is_own": True, "_current": None, "clock": Clock()}
        return state if callable(self._token) else state | {"_token": None}
