"""Which changes of an input's type would fail jobs that wait."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, create_model

from asyncjobs import JobContext, job
from asyncjobs.codegen.__main__ import main as write_catalog
from asyncjobs.codegen.released import failing_jobs, main
from asyncjobs.jobtypes.catalog import Catalog, to_json
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from tests.support.factories import job_types_of
from tests.unit.conftest import JOB, JobsPackage

RELEASED = Path(__file__).parents[3] / "layers" / "released.json"


def entries(annotation: Any, name: str = "a.b") -> dict[str, Any]:
    def takes(_input: Any, _context: JobContext) -> None:
        pass

    takes.__annotations__["_input"] = annotation
    found: dict[str, Any] = json.loads(to_json(Catalog(job_types_of(job(name)(takes)))))
    return found


def lines(old: Any, new: Any) -> list[str]:
    return list(failing_jobs(entries(old), entries(new)))


def model(**fields: Any) -> type[BaseModel]:
    return create_model("Input", **fields)


def strict(**fields: Any) -> type[BaseModel]:
    return create_model("Input", __config__=ConfigDict(extra="forbid"), **fields)


class Leaf(BaseModel):
    """A part."""

    size: int


class WiderLeaf(BaseModel):
    """The part with more."""

    size: int | str
    color: str = ""


class Node(BaseModel):
    """A recursive model."""

    name: str
    children: list[Node] = []


class Chain(BaseModel):
    """A model that may contain itself."""

    value: int
    next: Chain | None = None


class NarrowerChain(BaseModel):
    """The model with less."""

    value: str
    next: NarrowerChain | None = None


class WiderNode(BaseModel):
    """The recursive model with more."""

    name: str | None
    children: list[WiderNode] = []


class NarrowerNode(BaseModel):
    """The recursive model with less."""

    name: Literal["a"]
    children: list[NarrowerNode] = []


class Color(Enum):
    """A color."""

    RED = "red"


class MoreColors(Enum):
    """More colors."""

    RED = "red"
    BLUE = "blue"


COMPATIBLE = [
    (model(a=(int, ...)), model(a=(int, ...), b=(int, 0))),
    (model(a=(int, ...)), model(a=(int | str, ...))),
    (model(a=(int, ...)), model(a=(float, 0))),
    (model(a=(int, ...), b=(str, "")), model(a=(int, ...))),
    (model(a=(int, ...)), Any),
    (model(a=(Annotated[int, Field(le=5)], 0)), model(a=(Annotated[int, Field(le=6)], 0))),
    (model(a=(Literal["x"], ...)), model(a=(Literal["x", "y"], ...))),
    (model(a=(Literal["x", 1], ...)), model(a=(str | int, ...))),
    (model(a=(Color, ...)), model(a=(MoreColors, ...))),
    (model(a=(Leaf, ...)), model(a=(WiderLeaf | None, ...))),
    (model(a=(Leaf | None, ...)), model(a=(WiderLeaf | None, ...))),
    (model(a=(list[int], ...)), model(a=(list[int | None], ...))),
    (Node, WiderNode),
    (Chain, Chain),
    (int, int | None),
    (tuple[int, str], tuple[int | None, str]),
    (dict[str, int], dict[str, float]),
    (strict(a=(int, ...)), model(a=(int, ...))),
]
INCOMPATIBLE = [
    (model(first=(int, ...)), model(second=(int, ...)), ["/second: is required"]),
    (model(a=(int, 0)), model(a=(int, ...)), ["/a: is required"]),
    (model(a=(int, ...)), model(a=(str, ...)), ["/a: is string instead of integer"]),
    (model(a=(float, ...)), model(a=(int, ...)), ["/a: is integer instead of number"]),
    (model(a=(int | None, ...)), model(a=(int, ...)), ["/a: is integer instead of null"]),
    (model(a=(int, ...)), model(a=(Annotated[int, Field(ge=1)], ...)), ["/a: minimum is 1"]),
    (model(a=(str, ...)), model(a=(Annotated[str, Field(max_length=3)], ...)), ["/a: maxLength is 3"]),
    (model(a=(str, ...)), model(a=(Literal["x"], ...)), ["/a: allows fewer values"]),
    (model(a=(Literal["x", "y"], ...)), model(a=(Literal["x"], ...)), ['/a: no longer allows each of ["x", "y"]']),
    (model(a=(Color, ...)), model(a=(Literal["blue"], ...)), ['/a: no longer allows each of ["red"]']),
    (model(a=(str, ...)), model(a=(Annotated[str, Field(pattern="^x")], ...)), ['/a: pattern is "^x"']),
    (model(a=(Leaf, ...)), model(a=(Annotated[WiderLeaf, Field()] | None, ...), b=(int, ...)), ["/b: is required"]),
    (model(a=(WiderLeaf, ...)), model(a=(Leaf, ...)), ["/a/size: is integer instead of string"]),
    (model(a=(list[int], ...)), model(a=(list[str], ...)), ["/a/*: is string instead of integer"]),
    (model(a=(int, ...)), strict(a=(int, ...)), ["/*: further fields are rejected"]),
    (strict(a=(int, ...), b=(int, 0)), strict(a=(int, ...)), ["/b: is not a known field"]),
    (
        model(a=(str, ...)),
        model(a=(Json[int], ...)),
        ['/a: contentMediaType is "application/json"', '/a: contentSchema is {"type": "integer"}'],
    ),
    (Chain, NarrowerChain, ["/value: is string instead of integer"]),
    (Node, NarrowerNode, ["/name: allows fewer values"]),
    (Any, int, ["/: is integer instead of any type"]),
    (tuple[int, str], tuple[int, int], ["/1: is integer instead of string"]),
    (dict[str, float], dict[str, int], ["/*: is integer instead of number"]),
    (int | str, int, ["/: is integer instead of string"]),
]


@pytest.mark.parametrize(("old", "new"), COMPATIBLE, ids=range(len(COMPATIBLE)))
def test_type_that_allows_all_old_inputs_fails_no_job(old: Any, new: Any) -> None:
    assert lines(old, old) == []
    assert lines(old, new) == []


@pytest.mark.parametrize(("old", "new", "expected"), INCOMPATIBLE, ids=[str(row[2][0]) for row in INCOMPATIBLE])
def test_type_that_allows_less_is_named_with_its_place(old: Any, new: Any, expected: list[str]) -> None:
    assert lines(old, new) == [f"a.b: {line}" for line in expected]


def test_missing_job_type_is_named_and_a_tracked_one_is_not() -> None:
    tracked = json.loads(to_json(Catalog({GENERIC: tracked_job(GENERIC)})))
    assert list(failing_jobs(entries(int) | tracked, {})) == ["a.b: the job type is missing"]
    assert list(failing_jobs(entries(int, GENERIC), tracked)) == ["generic: the job type is tracked"]


def test_new_job_type_fails_no_job() -> None:
    assert list(failing_jobs({}, entries(int))) == []


def test_present_catalog_fails_no_released_job() -> None:
    """Run `make released` when this fails and no job of the last release waits."""
    assert main([str(RELEASED)]) == 0


def test_command_names_the_changes_until_they_are_accepted(
    jobs_package: JobsPackage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, released = jobs_package(one=JOB.format(name="a.b", function="f")), tmp_path / "released.json"
    write_catalog([])
    assert main([str(released)]) == 0, "nothing is released"
    assert main(["--accept", str(released)]) == main([str(released)]) == 0
    catalog = json.loads((package / "catalog.json").read_text())
    catalog["a.b"]["input_schema"] = {"type": "string"}
    (package / "catalog.json").write_text(json.dumps(catalog))
    assert main([str(released)]) == 1
    output = capsys.readouterr().err
    assert output.startswith("a.b: /: is string instead of integer: waiting jobs would fail.\n")
    assert "make released" in output
    assert main(["--accept", str(released)]) == main([str(released)]) == 0
