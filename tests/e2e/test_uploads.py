"""Large input: uploaded past the API, and opened by a job of its owner's."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from samples import pdfs
from tests.e2e.conftest import Caller


@pytest.fixture(scope="module")
def document() -> bytes:
    return pdfs.long_report(pages=30)


def prepared(caller: Caller, size: int) -> dict[str, Any]:
    answer = caller.post("/uploads", json={"contentType": "application/pdf", "contentLength": size})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def put(upload: dict[str, Any], content: bytes) -> httpx.Response:
    headers = {"content-type": upload["headers"]["content-type"]}
    return httpx.put(upload["url"], content=content, headers=headers, trust_env=False)


def test_what_was_uploaded_is_opened_by_its_owners_job(alice: Caller, document: bytes) -> None:
    upload = prepared(alice, len(document))
    assert put(upload, document).status_code == httpx.codes.OK
    job = alice.wait_for(alice.submit("document.extract", {"key": upload["key"]}))
    assert (job["status"], job["error"]) == ("COMPLETED", None)


def test_what_somebody_else_uploaded_is_not_there(alice: Caller, bob: Caller, document: bytes) -> None:
    upload = prepared(alice, len(document))
    assert put(upload, document).status_code == httpx.codes.OK
    job = bob.wait_for(bob.submit("document.extract", {"key": upload["key"]}))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "INPUT_MISSING")


@pytest.mark.parametrize("change", ["another size", "another type", "another key"])
def test_a_link_takes_nothing_but_what_it_was_made_for(alice: Caller, document: bytes, change: str) -> None:
    upload = prepared(alice, len(document))
    content = document + b"more" if change == "another size" else document
    if change == "another type":
        upload["headers"]["content-type"] = "text/html"
    if change == "another key":
        upload["url"] = upload["url"].replace("/uploads/", "/uploads/x")
    assert put(upload, content).status_code == httpx.codes.FORBIDDEN
