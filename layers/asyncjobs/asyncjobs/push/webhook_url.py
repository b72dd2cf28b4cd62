"""URLs of webhooks: how they may look, and which addresses they may lead to. Pure.

A URL is a caller's text, and the request comes from inside the deployment. So only https to a public address is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from asyncjobs.core.webhook import MAX_URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CLEAN = re.compile(r"[\x21-\x7e]+")
"""Visible ASCII: nothing that could end a header line, or that two parsers would read differently."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_MAX_HOST = 253

_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # between a provider and its customers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, with AWS's metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation, as are the next three of its kind
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
            "2001::/23",  # protocol assignments, with Teredo, which contains an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, which contains an IPv4 address
            "3fff::/20",
        ),
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All public IPv6 addresses. Outside are loopback, link-local, private and multicast ones, and those with an IPv4 address in them:
mapped, compatible and NAT64."""


class InvalidUrl(ValueError):
    """The text is not the URL of a webhook; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver: the parts of a webhook's URL."""

    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    path: str
    """The path with the query."""
    is_tls: bool = True

    @property
    def authority(self) -> str:
        """Return the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def target_of(url: str, *, to_loopback: bool = False) -> Target:
    """Return the parts of the URL. Raises `InvalidUrl`.

    With `to_loopback`, http is allowed as well: only this machine can be reached then.
    """
    if len(url) > MAX_URL or not _CLEAN.fullmatch(url):
        raise InvalidUrl(f"must be at most {MAX_URL} visible ASCII characters; encode others with %")
    try:
        parts = urlsplit(url)
        port, literal = parts.port, _literal(parts.hostname or "")
    except ValueError as error:
        raise InvalidUrl("is not a URL with a valid host and port") from error
    if parts.scheme != "https" and not (to_loopback and parts.scheme == "http"):
        raise InvalidUrl("must begin with https://")
    if "@" in parts.netloc or "#" in url or "\\" in url:
        raise InvalidUrl("must have no user, password, fragment or backslash")
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    if not _HOST.fullmatch(host) or len(host) > _MAX_HOST or port == 0:
        raise InvalidUrl("is not a URL with a valid host and port")
    if literal is not None and not is_allowed(literal, to_loopback=to_loopback):
        raise InvalidUrl("must not lead to a private, local or special address")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host.strip("[]").lower(), port or (443 if is_tls else 80), path, is_tls)


def is_allowed(address: Address, *, to_loopback: bool = False) -> bool:
    """Return whether a request may go to this address: a public one, or with `to_loopback` only this machine."""
    if to_loopback:
        # Not every Python counts a mapped address as that of IPv4.
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id is not None or address not in _GLOBAL_UNICAST):
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


def _literal(host: str) -> Address | None:
    """Return the address that the host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
