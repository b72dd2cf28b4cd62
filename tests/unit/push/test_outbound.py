"""Requests to receivers, over real sockets and TLS on this machine."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asyncjobs.core.clock import utc_now
from asyncjobs.push.outbound import NotDelivered, Outbound, Reply, resolved

HOST = "app.example.com"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BODY = b'{"type":"job.completed"}'


@dataclass
class Authority:
    """A certificate authority of this test, and the certificates that it has signed."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._signed("Test CA", self.key, is_authority=True)
        self.path = self.folder / "ca.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str) -> ssl.SSLContext:
        """Return the TLS of a server with a certificate for this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.folder / f"{host}.pem"
        path.write_bytes(
            self._signed(host, key).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client(self) -> ssl.SSLContext:
        """Return the TLS of a client that trusts this authority."""
        return ssl.create_default_context(cafile=str(self.path))

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@dataclass
class Server:
    """A receiver on this machine, which answers by `answer` and keeps each request."""

    answer: Callable[[socket.socket], Any]
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        if self.tls is not None:
            self.tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            # Only this ends an `accept` that waits.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                self.requests.append(_request(connection))
                self.answer(connection)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _received(connection)
    return head + b"\r\n\r\n" + body


def _received(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise OSError("The client has gone.")
    return data


def sends(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server."""
    started: list[Server] = []

    def serve(answer: bytes | Callable[[socket.socket], Any] = OK, tls: ssl.SSLContext | None = None) -> Server:
        started.append(Server(sends(answer) if isinstance(answer, bytes) else answer, tls))
        return started[-1]

    yield serve
    for server in started:
        server.close()


def plain(**changes: Any) -> Outbound:
    """Return what sends to this machine, whatever the name."""
    return Outbound(**{"to_loopback": True, "resolve": lambda _host, _port: ["127.0.0.1"], **changes})


def post(server: Server, outbound: Outbound | None = None, path: str = "/events?a=b") -> Reply:
    scheme = "http" if server.tls is None else "https"
    return (outbound or plain()).post(f"{scheme}://{HOST}:{server.port}{path}", {"webhook-id": "1"}, BODY)


def why(server: Server, outbound: Outbound | None = None) -> str:
    with pytest.raises(NotDelivered) as raised:
        post(server, outbound)
    return raised.value.code


# ── The request ──────────────────────────────────────────────────────────────────────────────────────


def test_request_has_the_body_and_the_headers(serve: Serve) -> None:
    server = serve()
    assert post(server) == Reply(204)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    assert (first, body) == ("POST /events?a=b HTTP/1.1", BODY)
    assert dict(field.split(": ", 1) for field in fields) == {
        "Host": f"{HOST}:{server.port}",
        "User-Agent": "asyncjobs-webhooks",
        "Accept": "*/*",
        "Connection": "close",
        "Content-Length": str(len(BODY)),
        "webhook-id": "1",
    }


@pytest.mark.parametrize("value", ["a\r\nX-Injected: yes", "a\nb", "a\0b", "ä"])
def test_header_that_could_end_is_never_sent(serve: Serve, value: str) -> None:
    server = serve()
    with pytest.raises(ValueError, match="A header"):
        plain().post(f"http://{HOST}:{server.port}/", {"webhook-id": value}, BODY)
    assert server.connections == 0


def test_proxy_of_the_environment_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = serve(), serve()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for each in (name, name.lower()):
            monkeypatch.setenv(each, f"http://127.0.0.1:{proxy.port}")
    assert post(server).status == 204
    assert (server.connections, proxy.connections) == (1, 0)


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────


def test_connection_goes_to_the_address_and_the_certificate_is_for_the_name(serve: Serve, authority: Authority) -> None:
    server = serve(tls=authority.server(HOST))
    assert post(server, plain(tls=authority.client())) == Reply(204)
    assert server.names == [HOST]
    assert f"Host: {HOST}:{server.port}".encode() in server.requests[0]


def test_certificate_for_another_name_is_refused(serve: Serve, authority: Authority) -> None:
    server = serve(tls=authority.server("other.example.com"))
    assert why(server, plain(tls=authority.client())) == "WEBHOOK_TLS_FAILED"
    assert server.requests == []


def test_certificate_of_an_unknown_authority_is_refused(serve: Serve, authority: Authority) -> None:
    server = serve(tls=authority.server(HOST))
    assert why(server, plain()) == "WEBHOOK_TLS_FAILED"
    assert server.requests == []


def test_receiver_without_tls_is_refused(serve: Serve, authority: Authority) -> None:
    server = serve()
    with pytest.raises(NotDelivered) as raised:
        plain(tls=authority.client(), time_limit=2).post(f"https://{HOST}:{server.port}/", {}, BODY)
    assert raised.value.code in {"WEBHOOK_TLS_FAILED", "WEBHOOK_UNREACHABLE", "WEBHOOK_TIMED_OUT"}
    assert not any(BODY in request for request in server.requests)


# ── The address ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["2002:7f00:1::"],
        ["64:ff9b::7f00:1"],
        ["8.8.8.8", "127.0.0.1"],
        ["2606:4700::1111", "fe80::1%lo"],
        [],
    ],
)
def test_name_of_an_address_that_is_not_public_is_refused_before_a_connection(
    monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str]
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("It connects."))
    with pytest.raises(NotDelivered) as raised:
        Outbound(resolve=lambda _host, _port: addresses).post(f"https://{HOST}/", {}, BODY)
    assert raised.value.code == "WEBHOOK_ADDRESS_REFUSED"


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(NotDelivered) as raised:
        Outbound().post(f"https://{host}/", {}, BODY)
    assert raised.value.code in {"WEBHOOK_ADDRESS_REFUSED", "WEBHOOK_UNREACHABLE"}


def test_name_is_resolved_once_and_no_later_answer_counts(serve: Serve) -> None:
    server, answers = serve(), iter([["127.0.0.1"], ["10.0.0.1"]])
    assert post(server, plain(resolve=lambda _host, _port: next(answers))).status == 204
    assert next(answers) == ["10.0.0.1"], "it was resolved again"


def test_next_address_is_tried_if_the_first_does_not_answer(serve: Serve) -> None:
    server = serve()
    assert post(server, plain(resolve=lambda _host, _port: ["127.1.2.3", "127.0.0.1"])).status == 204


def test_redirect_is_not_followed(serve: Serve) -> None:
    other = serve()
    server = serve(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n".encode())
    assert post(server) == Reply(307)
    assert other.connections == 0


def test_url_that_became_invalid_is_refused() -> None:
    with pytest.raises(NotDelivered) as raised:
        Outbound().post("http://app.example.com/", {}, BODY)
    assert raised.value.code == "WEBHOOK_URL_REFUSED"


def test_name_that_does_not_exist_is_unreachable() -> None:
    def fails(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror

    with pytest.raises(NotDelivered) as raised:
        Outbound(resolve=fails).post(f"https://{HOST}/", {}, BODY)
    assert raised.value.code == "WEBHOOK_UNREACHABLE"


def test_addresses_of_a_name_are_those_of_the_system() -> None:
    assert set(resolved("localhost", 80)) <= {"127.0.0.1", "::1"}


# ── The answer ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 204, 299, 301, 404, 410, 429, 500, 503])
def test_status_is_read(serve: Serve, status: int) -> None:
    assert post(serve(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 9\r\n\r\nsomething".encode())) == Reply(status)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Retry-After: 120", 120),
        ("retry-after:7 ", 7),
        ("Retry-After: 0", 0),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Retry-After: soon", None),
        ("Retry-After: -5", None),
        ("X-Retry-After: 5", None),
        ("Retry-After:", None),
    ],
)
def test_retry_after_is_read(serve: Serve, header: str, expected: float | None) -> None:
    assert post(serve(f"HTTP/1.1 503 No\r\nA: b\r\n{header}\r\n\r\n".encode())) == Reply(503, expected)


def test_retry_after_may_be_a_date(serve: Serve) -> None:
    later = utc_now() + dt.timedelta(hours=1)
    reply = post(serve(f"HTTP/1.1 503 No\r\nRetry-After: {later:%a, %d %b %Y %H:%M:%S GMT}\r\n\r\n".encode()))
    assert reply.retry_after is not None
    assert 3500 < reply.retry_after <= 3600


def test_interim_answer_is_ignored(serve: Serve) -> None:
    assert post(serve(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 999 No\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"\r\n\r\n"],
)
def test_answer_that_is_not_http_is_a_failure(serve: Serve, answer: bytes) -> None:
    assert why(serve(answer)) == "WEBHOOK_UNREACHABLE"


def test_no_more_than_16_kilobytes_of_an_answer_are_read(serve: Serve) -> None:
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sent += connection.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")

    assert why(serve(endless)) == "WEBHOOK_UNREACHABLE"
    time.sleep(0.1)
    assert sent < 8 * 1024 * 1024, "the rest is in the sockets' buffers"


def test_body_of_an_answer_is_not_awaited(serve: Serve) -> None:
    began = time.monotonic()

    def slow_body(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        time.sleep(5)

    assert post(serve(slow_body)).status == 200
    assert time.monotonic() - began < 4


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────


def test_receiver_that_does_not_answer_is_given_up_at_the_time_limit(serve: Serve) -> None:
    began = time.monotonic()
    assert why(serve(lambda _connection: time.sleep(5)), plain(time_limit=0.3)) == "WEBHOOK_TIMED_OUT"
    assert 0.3 <= time.monotonic() - began < 4


def test_receiver_that_answers_byte_by_byte_is_given_up_at_the_time_limit(serve: Serve) -> None:
    def drips(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    began = time.monotonic()
    assert why(serve(drips), plain(time_limit=0.4)) == "WEBHOOK_TIMED_OUT"
    assert time.monotonic() - began < 4


def test_receiver_that_nobody_listens_at_is_unreachable(serve: Serve) -> None:
    server = serve()
    server.close()
    assert why(server) == "WEBHOOK_UNREACHABLE"


def test_receiver_that_never_finishes_tls_is_given_up_at_the_time_limit(serve: Serve, authority: Authority) -> None:
    server = serve(lambda _connection: time.sleep(5))
    began = time.monotonic()
    with pytest.raises(NotDelivered) as raised:
        plain(tls=authority.client(), time_limit=0.3).post(f"https://{HOST}:{server.port}/", {}, BODY)
    assert raised.value.code == "WEBHOOK_TIMED_OUT"
    assert time.monotonic() - began < 4


def test_failure_says_nothing_about_the_network_inside(serve: Serve) -> None:
    server = serve()
    server.close()
    with pytest.raises(NotDelivered) as raised:
        post(server)
    assert "127.0.0.1" not in str(raised.value)
    assert str(server.port) not in str(raised.value)
