"""Inputs and results as values of the caller's."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from asyncjobs_client.uploads import bytes_of, upload_request
from asyncjobs_client.values import File, converted, files_in, to_json, with_keys


class Color(Enum):
    RED = "red"


class Question(BaseModel):
    text: str = Field(alias="q")
    at: datetime


@dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Question(q="why", at=datetime(2026, 1, 2, tzinfo=UTC)), {"q": "why", "at": "2026-01-02T00:00:00Z"}),
        ([Point(1, 2)], [{"x": 1, "y": 2}]),
        ({"at": date(2026, 1, 2), "for": timedelta(minutes=1)}, {"at": "2026-01-02", "for": 60.0}),
        ({"id": UUID(int=1), "cost": Decimal("1.10")}, {"id": "00000000-0000-0000-0000-000000000001", "cost": "1.10"}),
        ([Color.RED, {1}, Path("a/b"), "é"], ["red", [1], "a/b", "é"]),
    ],
)
def test_input_may_be_a_value_of_python(value: Any, expected: Any) -> None:
    assert json.loads(to_json(value)) == expected


def test_value_without_a_form_in_json_is_an_error_that_names_its_type() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        to_json({"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        to_json(float("nan"))


@pytest.mark.parametrize(
    ("as_", "expected"),
    [
        (None, {"x": 1, "y": 2}),
        (Point, Point(1, 2)),
        (TypeAdapter(dict[str, int]), {"x": 1, "y": 2}),
        (len, 2),
    ],
)
def test_result_is_converted(as_: Any, expected: Any) -> None:
    assert converted({"x": 1, "y": 2}, as_) == expected


def test_result_is_a_model_of_pydantic() -> None:
    found = converted({"q": "why", "at": "2026-01-02T00:00:00Z"}, Question)
    assert found.text == "why"


def test_files_are_replaced_by_their_keys_in_their_order() -> None:
    value = {"a": [File(b"1"), 2, (File(b"3"),)], "b": File(b"4")}
    assert [file.source for file in files_in(value)] == [b"1", b"3", b"4"]
    assert with_keys(value, iter("xyz")) == {"a": ["x", 2, ["y"]], "b": "z"}


@dataclass
class Document:
    key: File
    pages: list[int]


class Model(BaseModel):
    parts: list[Any]


def test_file_in_a_dataclass_is_replaced_by_its_key() -> None:
    value = [Document(File("a.pdf"), [1]), {"more": (Document(File(b"2"), []), Point(1, 2))}]
    assert [file.source for file in files_in(value)] == ["a.pdf", b"2"]
    assert json.loads(to_json(with_keys(value, iter("xy")))) == [
        {"key": "x", "pages": [1]},
        {"more": [{"key": "y", "pages": []}, {"x": 1, "y": 2}]},
    ]


@pytest.mark.parametrize(
    "value",
    [
        {File("a.pdf")},
        MappingProxyType({"key": File("a.pdf")}),
        Model(parts=[1, File("a.pdf")]),
        [Model(parts=[{"inner": Model(parts=[Document(File("a.pdf"), [])])}])],
    ],
    ids=["set", "mapping", "model", "inner model"],
)
def test_file_where_none_is_uploaded_is_an_error_that_says_what_to_do(value: Any) -> None:
    with pytest.raises(TypeError, match="upload it first"):
        to_json(with_keys(value, iter(())))


def test_model_keeps_its_own_form_beside_a_file() -> None:
    value = {"key": File("a.pdf"), "about": Question(q="why", at=datetime(2026, 1, 2, tzinfo=UTC))}
    assert json.loads(to_json(with_keys(value, iter("x")))) == {"key": "x", "about": {"q": "why", "at": "2026-01-02T00:00:00Z"}}


def test_type_of_an_upload_follows_from_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF-")
    assert json.loads(upload_request(File(path), 5).body or b"") == {"contentLength": 5, "contentType": "application/pdf"}
    assert json.loads(upload_request(File(b"x"), 1).body or b"") == {"contentLength": 1}
    with bytes_of(File(str(path))) as source:
        assert source.read() == b"%PDF-"


def test_open_file_stays_open_and_a_pipe_is_an_error() -> None:
    source = io.BytesIO(b"12")
    with bytes_of(File(source)):
        pass
    assert not source.closed

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(ValueError, match="can seek"), bytes_of(File(Pipe())):
        pass


def test_file_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(File("a.pdf"))) == File("a.pdf")
