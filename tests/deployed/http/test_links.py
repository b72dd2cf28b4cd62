"""Links to results in the bucket: each is a bearer secret for one object, for a few minutes. Row S27 of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.deployed import TLS, Caller, Job


@pytest.fixture(scope="module")
def link(alice: Caller, large: Job) -> str:
    location: str = alice.get(f"/jobs/{large['asyncJobId']}/result").headers["location"]
    return location


def test_s27_link_downloads_the_result_for_five_minutes(link: str) -> None:
    """RFC 6266 4.2."""
    answer = httpx.get(link, trust_env=False, verify=TLS)
    assert (answer.status_code, len(answer.json()["text"])) == (httpx.codes.OK, 20_000)
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-type"] == "application/json"
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["300"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_s27_link_cannot_write(link: str, method: str) -> None:
    assert httpx.request(method, link, content=b"x", trust_env=False, verify=TLS).status_code >= 400
    assert httpx.get(link, trust_env=False, verify=TLS).status_code == httpx.codes.OK


@pytest.mark.parametrize(
    "changed",
    [
        lambda link: link.replace("/results/", "/inputs/"),
        lambda link: link.replace("/1?", "/2?"),
        lambda link: link.replace("X-Amz-Expires=300", "X-Amz-Expires=604800"),
        lambda link: link.replace("attachment", "inline"),
        lambda link: link.partition("?")[0],
    ],
    ids=["another area", "another attempt", "longer", "shown by the browser", "unsigned"],
)
def test_s27_changed_link_is_rejected(link: str, changed: Callable[[str], str]) -> None:
    assert changed(link) != link
    assert httpx.get(changed(link), trust_env=False, verify=TLS).status_code == httpx.codes.FORBIDDEN
