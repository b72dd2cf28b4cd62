"""One POST to a receiver that somebody else has named: by TLS, to an address that was checked, within a time limit.

It uses no HTTP library: those follow redirects, read proxies from the environment, resolve the name again, or read an
answer of any length. Here the name is resolved once, every address is checked, and the connection goes to a checked address
while the certificate must still be for the name. Of the answer, only the status and `Retry-After` are read.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from asyncjobs.core.clock import utc_now
from asyncjobs.push.webhook_url import Address, InvalidUrl, Target, is_allowed, target_of

TIME_LIMIT = 15.0
"""Seconds for the whole request, after the name was resolved."""
_CONNECT = 5.0
"""Seconds for the connection to one address, so that there is time for the next one."""
_MAX_HEAD = 16 * 1024
_PIECE = 4096

Resolve = Callable[[str, int], Sequence[str]]


class NotDelivered(Exception):
    """There was no answer. `code` and the message are for the webhook's owner, and say nothing about the network inside."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """A receiver's answer."""

    status: int
    retry_after: float | None = None
    """Seconds, if the answer says when to try again."""


def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of the host, best first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Outbound:
    """Sends requests. `to_loopback` is for the local twin: requests then reach this machine, and nothing else."""

    def __init__(
        self,
        *,
        to_loopback: bool = False,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolved,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._to_loopback = to_loopback
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve
        self._time_limit = time_limit

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """POST the body and return the answer. Raises `NotDelivered`."""
        try:
            target = target_of(url, to_loopback=self._to_loopback)
        except InvalidUrl as error:
            raise NotDelivered("WEBHOOK_URL_REFUSED", f"The webhook's URL {error}.") from error
        request = _request(target, headers, body)
        addresses = self._addresses(target)
        deadline = _Deadline(self._time_limit)
        try:
            with self._connected(target, addresses, deadline) as connection:
                connection.settimeout(deadline.left())
                connection.sendall(request)
                return _read_reply(connection, deadline)
        except ssl.SSLCertVerificationError as error:
            raise NotDelivered("WEBHOOK_TLS_FAILED", "The receiver's certificate is not valid for its name.") from error
        except ssl.SSLError as error:
            raise NotDelivered("WEBHOOK_TLS_FAILED", "No TLS connection to the receiver could be made.") from error
        except TimeoutError as error:
            raise NotDelivered("WEBHOOK_TIMED_OUT", f"The receiver did not answer within {self._time_limit:g} s.") from error
        except OSError as error:
            raise NotDelivered("WEBHOOK_UNREACHABLE", "The receiver could not be reached, or ended the connection.") from error

    def _addresses(self, target: Target) -> Sequence[Address]:
        """Resolve the name, once. Every address must be allowed: of a mixture, somebody else could choose the one to use."""
        try:
            addresses = [ipaddress.ip_address(text) for text in self._resolve(target.host, target.port)]
        except (OSError, ValueError) as error:
            raise NotDelivered("WEBHOOK_UNREACHABLE", "The receiver's name could not be resolved.") from error
        if not addresses or not all(is_allowed(address, to_loopback=self._to_loopback) for address in addresses):
            raise NotDelivered("WEBHOOK_ADDRESS_REFUSED", "The receiver's name leads to a private, local or special address.")
        return addresses

    def _connected(self, target: Target, addresses: Sequence[Address], deadline: _Deadline) -> socket.socket:
        for number, address in enumerate(addresses, start=1):
            try:
                connection = socket.create_connection((str(address), target.port), timeout=min(_CONNECT, deadline.left()))
            except OSError:
                if number == len(addresses):
                    raise
            else:
                break
        if not target.is_tls:
            return connection
        try:
            connection.settimeout(deadline.left())
            return self._tls.wrap_socket(connection, server_hostname=target.host)
        except BaseException:
            connection.close()
            raise


class _Deadline:
    """The end of a request: a receiver that sends a byte now and then does not put it off."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "Host": target.authority,
        "User-Agent": "asyncjobs-webhooks",
        "Accept": "*/*",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("A header has a character that could end it.")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _read_reply(connection: socket.socket, deadline: _Deadline) -> Reply:
    """Read up to the end of the answer's head, at most 16 KB. Its body is of no interest, and may have any length."""
    data = b""
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end and not head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
            return _reply(head)
        if end:
            # An interim answer, such as 103: the final one follows.
            data = rest
            continue
        connection.settimeout(deadline.left())
        piece = connection.recv(_PIECE)
        if not piece or len(data) + len(piece) > _MAX_HEAD:
            raise NotDelivered("WEBHOOK_UNREACHABLE", "The receiver sent no complete HTTP answer.")
        data += piece


def _reply(head: bytes) -> Reply:
    first, _, rest = head.decode("latin-1").partition("\r\n")
    status = re.fullmatch(r"HTTP/1\.[01] ([2-5][0-9]{2})( [^\r\n]*)?", first)
    if status is None:
        raise NotDelivered("WEBHOOK_UNREACHABLE", "The receiver sent no valid HTTP answer.")
    found = re.search(r"^retry-after:[ \t]*([^\r\n]*?)[ \t]*$", rest.replace("\r\n", "\n"), re.IGNORECASE | re.MULTILINE)
    return Reply(int(status[1]), _seconds(found[1]) if found else None)


def _seconds(text: str) -> float | None:
    """Return the seconds of a `Retry-After` (RFC 9110 10.2.3), which is a number of them or a date; None for anything else."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - utc_now()).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
