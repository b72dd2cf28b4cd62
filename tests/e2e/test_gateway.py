"""What only the gateway, the bucket and a browser can show: rows S18, S19 and S27 of the protocol."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.stack import Outputs
from tests.e2e.conftest import Caller

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/api/v1/jobs/{UNKNOWN}"),
        ("PUT", "/api/v1/jobs"),
        ("PATCH", "/api/v1/jobs"),
        ("POST", "/api/v1/health"),
        ("POST", "/api/v1/job-types"),
        ("GET", f"/api/v1/jobs/{UNKNOWN}/cancel"),
        ("GET", "/"),
        ("GET", "/api/v2/jobs"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/jobs/a/b/c"),
        ("GET", "/api/v1/admin"),
        ("GET", "/.env"),
    ],
)
def test_s18_what_is_no_route_is_the_gateways_404(alice: Caller, outputs: Outputs, method: str, path: str) -> None:
    # HTTP APIs answer 404 also for a wrong method. Nothing of ours runs, and nothing is paid for.
    answer = httpx.request(method, f"{outputs.api_url}{path}", headers=alice.http.headers, trust_env=False)
    assert (answer.status_code, answer.json()) == (httpx.codes.NOT_FOUND, {"message": "Not Found"})


@pytest.mark.parametrize("async_job_id", ["..", "..%2Fjob-types", "%2e%2e", f"%2F{UNKNOWN}", f"{UNKNOWN}%2Fresult", "%00", "*"])
def test_s18_no_id_leads_anywhere_else(alice: Caller, outputs: Outputs, async_job_id: str) -> None:
    url = httpx.URL(f"{outputs.api_url}/api/v1/jobs/x").copy_with(
        raw_path=f"{httpx.URL(outputs.api_url).path}/api/v1/jobs/{async_job_id}".encode()
    )
    assert httpx.get(url, headers=alice.http.headers, trust_env=False).status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000.evil.example", "http://localhost:30000"]
)
def test_s19_an_unlisted_origin_is_told_nothing(alice: Caller, outputs: Outputs, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    preflight = httpx.options(f"{outputs.api_url}/api/v1/jobs", headers=asked, trust_env=False)
    answer = alice.get("/jobs", headers={"origin": origin})
    assert "access-control-allow-origin" not in {**preflight.headers, **answer.headers}


@pytest.fixture(scope="module")
def link(alice: Caller) -> str:
    """Of a result that lies in the bucket."""
    job = alice.wait_for(alice.submit("zoo.returns_much", {"size": 20_000}))
    location: str = alice.get(f"/jobs/{job['asyncJobId']}/result").headers["location"]
    return location


def test_s27_a_link_gives_this_result_for_five_minutes_as_a_download(link: str) -> None:
    answer = httpx.get(link, trust_env=False)
    assert (answer.status_code, len(answer.content)) == (httpx.codes.OK, 20_002)
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-type"] == "application/json"
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["300"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_s27_a_link_changes_nothing(link: str, method: str) -> None:
    assert httpx.request(method, link, content=b"x", trust_env=False).status_code >= 400
    assert httpx.get(link, trust_env=False).status_code == httpx.codes.OK


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
def test_s27_a_link_is_good_for_nothing_else(link: str, changed: Any) -> None:
    assert changed(link) != link
    assert httpx.get(changed(link), trust_env=False).status_code == httpx.codes.FORBIDDEN
