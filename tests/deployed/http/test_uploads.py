"""POST /uploads: a large input goes directly to the owner's area in the bucket, and a job opens it by its key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.samples import raw_pdf
from local.stack import LocalStack
from tests.support.deployed import TLS, Caller, Job

PDF = "application/pdf"


@pytest.fixture(scope="module")
def document() -> bytes:
    return raw_pdf.long_report(pages=3)


def prepared(caller: Caller, size: int) -> dict[str, Any]:
    answer = caller.post("/uploads", json={"contentType": PDF, "contentLength": size})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def put(upload: dict[str, Any], content: bytes, content_type: str = PDF) -> httpx.Response:
    headers = {**upload["headers"], "content-type": content_type, "content-length": str(len(content))}
    return httpx.put(upload["url"], content=content, headers=headers, trust_env=False, verify=TLS)


def extracted(caller: Caller, key: str) -> Job:
    body = {"jobType": "document.extract", "input": {"key": key}}
    return caller.wait_for(caller.post("/jobs", json=body).json())


def test_upload_is_201_with_everything_for_the_put(alice: Caller) -> None:
    """RFC 9110 15.3.2."""
    upload = prepared(alice, 9)
    assert upload["method"] == "PUT"
    assert upload["headers"] == {
        "content-type": PDF,
        "content-length": "9",
        "if-none-match": "*",
        "x-amz-tagging": "keptForJobOf=none",
    }
    assert upload["key"].startswith("uploads/")


def test_link_accepts_one_object(alice: Caller) -> None:
    """RFC 9110 15.5.13."""
    upload = prepared(alice, 9)
    assert put(upload, b"the first").status_code == httpx.codes.OK
    assert put(upload, b"no second").status_code == httpx.codes.PRECONDITION_FAILED
    assert put(upload, b"nor third").status_code == httpx.codes.PRECONDITION_FAILED


@pytest.mark.parametrize("header", ["if-none-match", "x-amz-tagging"])
def test_link_rejects_a_request_without_one_of_its_headers(alice: Caller, header: str) -> None:
    upload = prepared(alice, 9)
    del upload["headers"][header]
    assert put(upload, b"the first").status_code == httpx.codes.FORBIDDEN


def tag_of(upload: dict[str, Any], owner: Caller, stack: LocalStack) -> str | None:
    """Return which job the upload is kept for; None if the upload is deleted."""
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)
    location: Any = {"Bucket": stack.outputs.bucket_name, "Key": f"inputs/{owner.owner}/{upload['key']}"}
    try:
        (tag,) = s3.get_object_tagging(**location)["TagSet"]
    except s3.exceptions.ClientError as error:
        # The bucket keeps a deleted object, under a delete marker.
        if error.response["Error"]["Code"] not in {"NoSuchKey", "MethodNotAllowed"}:
            raise
        return None
    assert tag["Key"] == "keptForJobOf"
    return tag["Value"]


def test_upload_is_kept_for_the_job_that_names_it_and_deleted_with_it(
    alice: Caller, stack: LocalStack, document: bytes
) -> None:
    upload = prepared(alice, len(document))
    put(upload, document)
    assert tag_of(upload, alice, stack) == "none"
    job = extracted(alice, upload["key"])
    assert tag_of(upload, alice, stack) == job["createdAt"]
    assert alice.delete(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NO_CONTENT
    assert tag_of(upload, alice, stack) is None


def test_deleted_upload_is_missing(alice: Caller, bob: Caller, stack: LocalStack, document: bytes) -> None:
    upload = prepared(alice, len(document))
    put(upload, document)
    assert bob.delete(f"/{upload['key']}").status_code == httpx.codes.NO_CONTENT
    assert tag_of(upload, alice, stack) == "none"
    assert [alice.delete(f"/{upload['key']}").status_code for _ in range(2)] == [httpx.codes.NO_CONTENT] * 2
    assert tag_of(upload, alice, stack) is None
    assert extracted(alice, upload["key"])["error"]["code"] == "INPUT_MISSING"


def test_invalid_upload_key_is_400(alice: Caller) -> None:
    answer = alice.delete("/uploads/report.pdf")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/key")


def test_upload_link_expires_after_15_minutes(alice: Caller) -> None:
    upload = prepared(alice, 9)
    left = datetime.fromisoformat(upload["expiresAt"]) - datetime.now(UTC)
    assert 14 * 60 < left.total_seconds() <= 15 * 60
    assert parse_qs(urlsplit(upload["url"]).query)["X-Amz-Expires"] == ["900"]


def test_each_upload_has_its_own_key(alice: Caller) -> None:
    assert prepared(alice, 9)["key"] != prepared(alice, 9)["key"]


def test_uploaded_object_is_opened_by_its_owners_job(alice: Caller, document: bytes) -> None:
    upload = prepared(alice, len(document))
    assert put(upload, document).status_code == httpx.codes.OK
    job = extracted(alice, upload["key"])
    assert (job["status"], job["error"]) == ("COMPLETED", None)


def test_empty_upload_is_opened_by_its_owners_job(alice: Caller) -> None:
    upload = prepared(alice, 0)
    assert put(upload, b"").status_code == httpx.codes.OK
    job = extracted(alice, upload["key"])
    assert (job["status"], job["error"]["code"]) == ("FAILED", "NOT_A_PDF")


def test_uploaded_object_of_another_owner_is_missing(alice: Caller, bob: Caller, document: bytes) -> None:
    upload = prepared(alice, len(document))
    assert put(upload, document).status_code == httpx.codes.OK
    job = extracted(bob, upload["key"])
    assert (job["status"], job["error"]["code"]) == ("FAILED", "INPUT_MISSING")


def test_link_rejects_another_size(alice: Caller, document: bytes) -> None:
    assert put(prepared(alice, len(document)), document + b"more").status_code == httpx.codes.FORBIDDEN


def test_link_rejects_another_content_type(alice: Caller, document: bytes) -> None:
    assert put(prepared(alice, len(document)), document, "text/html").status_code == httpx.codes.FORBIDDEN


def test_link_rejects_another_key(alice: Caller, document: bytes) -> None:
    upload = prepared(alice, len(document))
    elsewhere = {**upload, "url": upload["url"].replace("/uploads/", "/uploads/x")}
    assert put(elsewhere, document).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/contentLength"),
        ({"contentLength": -1}, "/contentLength"),
        ({"contentLength": 100_000_001}, "/contentLength"),
        ({"contentLength": 1, "contentType": "pdf"}, "/contentType"),
        ({"contentLength": 1, "contentType": "a/b\r\nx: y"}, "/contentType"),
        ({"contentLength": 1, "key": "mine"}, "/key"),
    ],
    ids=str,
)
def test_invalid_upload_is_400(alice: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = alice.post("/uploads", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, pointer)
