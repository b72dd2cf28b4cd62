"""`diagram.pdf`: a database's schema as a drawing, a PDF that belongs to the result."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from asyncjobs import Fatal, JobContext, job
from jobs.diagram_pdf_drawing import LARGEST, Arrow, Diagram, Row, Table, draw, is_drawable

MAX_TABLES = 2_000
MAX_BYTES = 50_000_000

Name = Annotated[str, Field(max_length=500)]


class _Wire(BaseModel):
    """Members that are not drawn are allowed and ignored."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Column(_Wire):
    """A column."""

    name: Name
    type: Name = ""


class Node(_Wire):
    """A table or a view."""

    id: Name
    kind: str = "TABLE"
    columns: list[Column] = []
    primary_key: list[Name] = []


class Edge(_Wire):
    """A foreign key."""

    source: Name
    target: Name
    source_columns: list[Name] = []


class Schema(_Wire):
    """A schema, as `mysql.import` returns it."""

    nodes: list[Node] = Field(max_length=MAX_TABLES)
    edges: list[Edge] = Field(default=[], max_length=10 * MAX_TABLES)


ONE_OF_THE_TWO: JsonDict = {
    "anyOf": [{"required": ["schema"]}, {"required": ["key"]}],
    "not": {"required": ["schema", "key"], "description": "has `schema` and `key`: send one of them"},
}


class DiagramInput(_Wire):
    """A schema, or the `key` of an upload that has it as JSON: a large one, with or without the rest of an import's result."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=ONE_OF_THE_TWO)

    title: str = Field(default="Schema", min_length=1, max_length=100)
    schema_: Schema | None = Field(default=None, alias="schema")
    key: str | None = Field(
        default=None, min_length=1, max_length=512, description="The key of a JSON file in your inputs area."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.schema_ is None) == (self.key is None):
            raise ValueError("give either `schema` or `key`, and not both")
        return self


class Drawn(_Wire):
    """The drawing."""

    pdf_url: str = Field(json_schema_extra={"format": "uri"}, description="A link to the PDF. It works for five minutes.")
    tables: int
    foreign_keys: int
    warnings: list[str] = Field(description="Parts that are missing in the drawing.")


@job("diagram.pdf", expected_seconds=2, timeout_seconds=120, max_attempts=2, route="POST /export/pdf")
def diagram_pdf(input: DiagramInput, context: JobContext) -> Drawn:
    """Draw a schema: a box for each table, with its columns, and an arrow for each foreign key."""
    context.progress(0, "Reading the schema")
    schema = input.schema_ or _uploaded(input.key or "", context)
    context.progress(10, f"Placing {len(schema.nodes)} tables")
    diagram = _diagram(input.title, schema)
    if max(diagram.width, diagram.height) > LARGEST:
        raise Fatal("The drawing is larger than a PDF's page may be. Draw a part of the schema.", code="DIAGRAM_TOO_LARGE")
    context.progress(20, "Drawing")
    with context.open_artifact("diagram.pdf", "application/pdf") as file:
        draw(diagram, file, lambda share: context.progress(20 + 75 * share))
    return Drawn(
        pdf_url=file.reference,
        tables=len(schema.nodes),
        foreign_keys=len(schema.edges),
        warnings=list(islice(_warnings(schema), 20)),
    )


def _uploaded(key: str, context: JobContext) -> Schema:
    with context.open_input(key) as upload:
        data = upload.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Fatal(f"The file is larger than {MAX_BYTES // 1_000_000} MB.", code="SCHEMA_TOO_LARGE")
    try:
        return Import.model_validate_json(data).schema_
    except ValidationError:
        try:
            return Schema.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            what = "not JSON" if first["type"] == "json_invalid" else f"not a schema: see /{'/'.join(map(str, first['loc']))}"
            raise Fatal(f"The file is {what}.", code="SCHEMA_INVALID") from None


class Import(_Wire):
    """The result of an import."""

    schema_: Schema = Field(alias="schema")


def _diagram(title: str, schema: Schema) -> Diagram:
    foreign = {(edge.source, column) for edge in schema.edges for column in edge.source_columns}
    tables = {
        node.id: Table(
            node.id,
            node.kind == "VIEW",
            [Row(_mark(node, column.name, foreign), column.name, column.type) for column in node.columns],
        )
        for node in schema.nodes
    }
    arrows = [Arrow(edge.source, next(iter(edge.source_columns), ""), edge.target) for edge in schema.edges]
    return Diagram.of(title, list(tables.values()), arrows)


def _mark(node: Node, column: str, foreign: set[tuple[str, str]]) -> str:
    return "PK" if column in node.primary_key else "FK" if (node.id, column) in foreign else ""


def _warnings(schema: Schema) -> Iterator[str]:
    names = {node.id for node in schema.nodes}
    for edge in schema.edges:
        if edge.source not in names or edge.target not in names:
            yield f"The foreign key from {edge.source} to {edge.target} has no table at one of its ends."
    texts = (text for node in schema.nodes for text in (node.id, *(column.name for column in node.columns)))
    if not all(map(is_drawable, texts)):
        yield "Characters that the PDF's fonts lack are drawn as their numbers."
