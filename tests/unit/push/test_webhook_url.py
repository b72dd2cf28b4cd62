"""URLs of webhooks: which are refused, and which addresses."""

from __future__ import annotations

import ipaddress

import pytest

from asyncjobs.push.webhook_url import InvalidUrl, Target, is_allowed, target_of


def test_url_is_taken_apart() -> None:
    assert target_of("https://App.example.com/a/b?c=d") == Target("app.example.com", 443, "/a/b?c=d")
    assert target_of("https://app.example.com:8443") == Target("app.example.com", 8443, "/")
    assert target_of("https://[2606:4700::1111]:444/x") == Target("2606:4700::1111", 444, "/x")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://app.example.com/", "app.example.com"),
        ("https://app.example.com:443/", "app.example.com"),
        ("https://app.example.com:8443/", "app.example.com:8443"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
    ],
)
def test_host_header_names_the_host_and_an_unusual_port(url: str, authority: str) -> None:
    assert target_of(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.example.com",
        "http://app.example.com/",
        "ftp://app.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user@app.example.com/",
        "https://user:password@app.example.com/",
        "https://app.example.com@169.254.169.254/",
        "https://app.example.com/#fragment",
        "https://app.example.com/#",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com:0/",
        "https://app.example.com:65536/",
        "https://app.example.com:port/",
        "https://app.example.com/a b",
        "https://app.example.com/\r\nX-Injected: yes",
        "https://app.example.com/\n",
        "https://app.example.com\t/",
        "https://app.example.com/\0",
        "https://exämple.com/",
        "https://app.example.com/ä",
        "https://-app.example.com/",
        "https://app.example.com./",
        "https://app_1.example.com/",
        "https://%61pp.example.com/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://" + "a" * 254 + "/",
        "https://app.example.com/" + "a" * 1000,
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00:ec2::254]/",
    ],
)
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        target_of(url)


PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",  # metadata of EC2
    "169.254.170.2",  # credentials of ECS
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # an IPv4-compatible 127.0.0.1
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of EC2
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450:4001::200e"]


@pytest.mark.parametrize("address", PRIVATE)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [*PRIVATE, *PUBLIC])
def test_only_this_machine_is_allowed_where_deliveries_go_to_loopback(address: str) -> None:
    is_loopback = address.startswith("127.") or address in {"::1", "::ffff:127.0.0.1"}
    assert is_allowed(ipaddress.ip_address(address), to_loopback=True) is is_loopback


def test_loopback_switch_allows_http_and_no_other_address() -> None:
    assert target_of("http://127.0.0.1:8080/x", to_loopback=True) == Target("127.0.0.1", 8080, "/x", is_tls=False)
    assert target_of("http://localhost/", to_loopback=True).port == 80
    with pytest.raises(InvalidUrl):
        target_of("https://8.8.8.8/", to_loopback=True)
