"""Shapes: tables of words, and members that may be left out."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Ids, Shape, said
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects


def words(word: str) -> Any:
    return {"status": "done", "message": None}[word]


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ("status", "done"),
        ({"state": "status", "text": "message"}, {"state": "done", "text": None}),
        ({"state?": "status", "text?": "message"}, {"state": "done"}),
        ({"data": {"job": {"state": "status"}}}, {"data": {"job": {"state": "done"}}}),
        ({"loud": lambda word: word("status").upper()}, {"loud": "DONE"}),
        ({}, {}),
    ],
    ids=str,
)
def test_shape_has_the_values_of_its_words(shape: Shape, value: Any) -> None:
    assert said(shape, words) == value


def test_ids_are_ours_by_default() -> None:
    assert Ids().theirs({"asyncJobId": "x"}) == Ids().ours("x") == "x"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_dialect_has_a_word_for_every_status_and_a_route_for_a_jobs_status(name: str) -> None:
    dialect = find_dialects([name])[name]
    assert dialect.statuses.keys() == set(Status)
    assert dialect.job_route.answer is not None
    assert dialect.messages[""]
