"""`diagram.pdf`: a schema in, a PDF among the artifacts out."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from pydantic import ValidationError
from pypdf import PdfReader

from asyncjobs import Fatal
from asyncjobs.core.errors import InvalidInput
from asyncjobs.jobtypes import json_schema
from asyncjobs.testing import FakeContext
from jobs.diagram_pdf import DiagramInput, diagram_pdf

SCHEMA: dict[str, Any] = {
    "nodes": [
        {"id": "customers", "kind": "TABLE", "columns": [{"name": "id", "type": "int(11)"}], "primaryKey": ["id"]},
        {"id": "orders", "columns": [{"name": "id", "type": "int(11)"}, {"name": "customer", "type": "int(11)"}]},
    ],
    "edges": [{"id": "orders.whose", "source": "orders", "target": "customers", "sourceColumns": ["customer"]}],
}


def text_of(context: FakeContext) -> str:
    (file,) = context.artifacts
    assert (file.name, file.content_type) == ("diagram.pdf", "application/pdf")
    return PdfReader(BytesIO(file.getvalue()), strict=True).pages[0].extract_text()


def test_result_names_the_pdf_and_says_what_is_in_it() -> None:
    context = FakeContext()
    drawn = diagram_pdf(DiagramInput.model_validate({"title": "Shop", "schema": SCHEMA}), context)
    assert drawn.model_dump(by_alias=True) == {
        "pdfUrl": "asyncjobs:artifact:1",
        "tables": 2,
        "foreignKeys": 1,
        "warnings": [],
    }
    assert {"Shop", "customers", "orders", "FK"} <= set(text_of(context).split())


@pytest.mark.parametrize(
    "content", [SCHEMA, {"schema": SCHEMA, "warnings": [], "unsupportedFeatures": []}], ids=["schema", "import"]
)
def test_uploaded_schema_is_drawn(content: dict[str, Any]) -> None:
    context = FakeContext(inputs={"uploads/1": json.dumps(content).encode()})
    assert diagram_pdf(DiagramInput(key="uploads/1"), context).tables == 2
    assert "customers" in text_of(context)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"nodes": [{"columns": []}]}', b'{"nodes": "canary"}'])
def test_upload_that_is_not_a_schema_fails_without_a_retry(data: bytes) -> None:
    with pytest.raises(Fatal) as failed:
        diagram_pdf(DiagramInput(key="uploads/1"), FakeContext(inputs={"uploads/1": data}))
    assert failed.value.code == "SCHEMA_INVALID"
    assert failed.value.message.startswith("The file is not JSON." if not data else "The file is not a schema: see /")
    assert "canary" not in failed.value.message


def test_missing_ends_and_characters_are_warnings() -> None:
    edges = [*SCHEMA["edges"], {"source": "orders", "target": "elsewhere.places"}]
    nodes = [*SCHEMA["nodes"], {"id": "\u9867\u5ba2"}]
    drawn = diagram_pdf(DiagramInput.model_validate({"schema": {"nodes": nodes, "edges": edges}}), FakeContext())
    assert [warning.partition(" ")[0] for warning in drawn.warnings] == ["The", "Characters"]
    assert "elsewhere.places" in drawn.warnings[0]


def test_drawing_that_no_page_holds_fails_without_a_retry() -> None:
    chain = [f"t{number}" for number in range(200)]
    edges = [{"source": one, "target": other} for one, other in zip(chain[1:], chain, strict=False)]
    given = {"schema": {"nodes": [{"id": name} for name in chain], "edges": edges}}
    with pytest.raises(Fatal) as failed:
        diagram_pdf(DiagramInput.model_validate(given), FakeContext())
    assert failed.value.code == "DIAGRAM_TOO_LARGE"


@pytest.mark.parametrize(
    ("given", "place", "what"),
    [
        ({}, "", "needs one of these fields: schema, key"),
        ({"schema": SCHEMA, "key": "uploads/1"}, "", "send one of them"),
        ({"key": ""}, "/key", "shorter than 1"),
        ({"schema": {}}, "/schema/nodes", "is required"),
    ],
    ids=["none", "both", "empty key", "empty schema"],
)
def test_exactly_one_schema_is_needed(given: dict[str, Any], place: str, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_schema.check(DiagramInput.model_json_schema(), given)
    (problem,) = refused.value.problems
    assert problem.pointer == place
    assert what in problem.detail
    with pytest.raises(ValidationError):
        DiagramInput.model_validate(given)
