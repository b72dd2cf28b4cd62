"""POST /uploads: a large input goes directly to the owner's area in the bucket, and a job opens it by its key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.samples import raw_pdf
from tests.support.deployed import Caller, Job

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
    return httpx.put(upload["url"], content=content, headers={"content-type": content_type}, trust_env=False)


def extracted(caller: Caller, key: str) -> Job:
    body = {"jobType": "document.extract", "input": {"key": key}}
    return caller.wait_for(caller.post("/jobs", json=body).json())


def test_upload_is_201_with_everything_for_the_put(alice: Caller) -> None:
    """RFC 9110 15.3.2."""
    upload = prepared(alice, 9)
    assert (upload["method"], upload["headers"]) == ("PUT", {"content-type": PDF, "content-length": "9"})
    assert upload["key"].startswith("uploads/")


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
        ({"contentLength": 0}, "/contentLength"),
        ({"contentLength": 5 * 1024**3 + 1}, "/contentLength"),
        ({"contentLength": 1, "contentType": "pdf"}, "/contentType"),
        ({"contentLength": 1, "contentType": "a/b\r\nx: y"}, "/contentType"),
        ({"contentLength": 1, "key": "mine"}, "/key"),
    ],
    ids=str,
)
def test_invalid_upload_is_400(alice: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = alice.post("/uploads", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, pointer)
