"""A stand-in for a MySQL server: it speaks the connection phase of MySQL's protocol, which MariaDB has in another form.

It has one user, checks the password, and ends there. The packets are those of MySQL's documentation (Protocol::HandshakeV10,
caching_sha2_password). A real MySQL is in no registry that the tests reach.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CACHING_SHA2 = b"caching_sha2_password"
_CAPABILITIES = 0x00088209 | 0x8000  # long password, database, protocol 4.1, transactions, secure connection, plugins
_AUTHENTICATED, _FULL = b"\x01\x03", b"\x01\x04"
_PUBLIC_KEY_REQUEST = b"\x02"
_OK = b"\x00\x00\x00\x02\x00\x00\x00"


class SignIn(Enum):
    """How the server lets the user sign in."""

    FAST = auto()
    """By a hash, since the server has checked the password before."""
    FULL = auto()
    """By the password, encrypted with the server's public key."""
    CLEAR = auto()
    """By the password as it is. A server of a thief's requests it."""
    ERROR = auto()
    """Not at all: with an error."""


@dataclass
class MySql:
    """A running stand-in, and what it has received."""

    port: int
    how: SignIn = SignIn.FAST
    error: int = 0
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    received: list[bytes] = field(default_factory=list)
    """The packets of clients after their first."""


@contextmanager
def mysql() -> Iterator[MySql]:
    """Start a stand-in, which ends with the block."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = MySql(listening.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listening, server, key))
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def _serve(listening: socket.socket, server: MySql, key: rsa.RSAPrivateKey) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            _Client(connection, server, key).sign_in()


class _Client:
    """One connection."""

    def __init__(self, connection: socket.socket, server: MySql, key: rsa.RSAPrivateKey) -> None:
        self._connection, self._server, self._key = connection, server, key
        self._number = 0
        self._nonce = bytes(1 + secrets.randbelow(255) for _ in range(20))

    def sign_in(self) -> None:
        self._send(self._greeting())
        first = self._packet()
        how = self._server.how
        if how is SignIn.ERROR:
            self._refuse(self._server.error)
        elif how is SignIn.CLEAR:
            self._send(b"\xfemysql_clear_password\0")
            self._server.received.append(self._packet())
            self._refuse(1045)
        elif how is SignIn.FAST:
            self._send(_AUTHENTICATED) if self._hash() in first else self._refuse(1045)
            self._end(ok=self._hash() in first)
        else:
            self._send(_FULL)
            self._end(ok=self._full() == self._server.password.encode() + b"\0")

    def _full(self) -> bytes:
        request = self._packet()
        self._server.received.append(request)
        if request != _PUBLIC_KEY_REQUEST:
            return b""
        public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        self._send(b"\x01" + self._key.public_key().public_bytes(*public))
        encrypted = self._packet()
        self._server.received.append(encrypted)
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        plain = self._key.decrypt(encrypted, oaep)
        return bytes(byte ^ self._nonce[place % 20] for place, byte in enumerate(plain))

    def _hash(self) -> bytes:
        """Return what a client with the right password sends."""
        one = hashlib.sha256(self._server.password.encode()).digest()
        two = hashlib.sha256(hashlib.sha256(one).digest() + self._nonce).digest()
        return bytes(left ^ right for left, right in zip(one, two, strict=True))

    def _end(self, *, ok: bool) -> None:
        if not ok:
            self._refuse(1045)
            return
        self._send(_OK)
        while request := self._packet():  # SET NAMES and the like, and the end of the connection
            if request[:1] == b"\x01":
                return
            self._number = 1
            self._send(_OK)

    def _greeting(self) -> bytes:
        capabilities = _CAPABILITIES.to_bytes(4, "little")
        return (
            b"\x0a8.4.0\0" + b"\x07\0\0\0" + self._nonce[:8] + b"\0" + capabilities[:2] + b"\xff\x02\0" + capabilities[2:]
            + bytes([21]) + bytes(10) + self._nonce[8:] + b"\0" + CACHING_SHA2 + b"\0"
        )  # fmt: skip

    def _refuse(self, number: int) -> None:
        self._send(b"\xff" + number.to_bytes(2, "little") + b"#HY000the words of the server")

    def _send(self, data: bytes) -> None:
        self._connection.sendall(len(data).to_bytes(3, "little") + bytes([self._number]) + data)
        self._number += 1

    def _packet(self) -> bytes:
        """Return the client's next packet; nothing at the end of the connection."""
        header = self._exactly(4)
        if len(header) < 4:
            return b""
        self._number = header[3] + 1
        return self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            if not piece:
                break
            data += piece
        return data
