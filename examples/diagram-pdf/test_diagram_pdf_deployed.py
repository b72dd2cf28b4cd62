"""`POST /export/pdf` on the local stack: the link leads to a PDF."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
from pypdf import PdfReader

from tests.support.deployed import Caller, followed

SCHEMA: dict[str, Any] = {
    "nodes": [{"id": "customers", "columns": [{"name": "id", "type": "int(11)"}]}, {"id": "orders"}],
    "edges": [{"source": "orders", "target": "customers"}],
}


def downloaded(url: str) -> PdfReader:
    answer = httpx.get(url, timeout=60, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/pdf")
    assert answer.headers["content-disposition"] == 'attachment; filename="diagram.pdf"'
    return PdfReader(BytesIO(answer.content), strict=True)


def test_schema_is_drawn_and_each_answer_has_a_link_to_the_pdf(alice: Caller) -> None:
    answer = alice.post("/export/pdf", json={"title": "Shop", "schema": SCHEMA})
    job = alice.wait_for(alice.get(followed(answer)).json())
    assert (job["status"], job["result"]["tables"]) == ("COMPLETED", 2)
    for result in (job["result"], alice.job(job)["result"]):
        assert "customers" in downloaded(result["pdfUrl"]).pages[0].extract_text()


def test_schema_of_an_upload_is_drawn(alice: Caller) -> None:
    content = b'{"nodes": [{"id": "from_an_upload"}]}'
    upload = alice.post("/uploads", json={"contentType": "application/json", "contentLength": len(content)}).json()
    httpx.put(upload["url"], content=content, headers=upload["headers"], trust_env=False).raise_for_status()
    job = alice.wait_for(alice.submit("diagram.pdf", {"key": upload["key"]}))
    assert "from_an_upload" in downloaded(job["result"]["pdfUrl"]).pages[0].extract_text()
