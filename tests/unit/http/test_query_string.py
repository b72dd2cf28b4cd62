"""Queries are read from the text that the client wrote."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.http.problems import Problem
from asyncjobs.http.query_string import read_query, text_of, texts_of

CLEAN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(CLEAN, st.lists(CLEAN, min_size=1, max_size=3)))
def test_encoded_query_is_read_back(values: dict[str, list[str]]) -> None:
    query = read_query(urlencode(values, doseq=True))
    assert {name: [text_of(value) for value in found] for name, found in query.items()} == values
    assert {name: texts_of(found) for name, found in query.items()} == values


@given(st.text("ab&=,+;%0F?#\u00fc"))
def test_any_query_is_read_or_rejected(raw: str) -> None:
    try:
        query = read_query(raw)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017 - either outcome is right
    else:
        assert all(query.values())


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("", {}),
        ("&&", {}),
        ("a", {"a": [""]}),
        ("a=", {"a": [""]}),
        ("=a", {"": ["a"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("%61+b=c", {"a b": ["c"]}),
        ("a=%2", {"a": ["%2"]}),
        ("a;b=c", {"a;b": ["c"]}),
    ],
)
def test_names_are_decoded_and_values_are_not(raw: str, query: dict[str, list[str]]) -> None:
    assert read_query(raw) == query


@pytest.mark.parametrize(
    ("raw", "pointers"),
    [("a=%00&b=c&d=%FF", ["/a", "/d"]), ("a%00=b", [""]), ("a~%2Fb=%C0%80", ["/a~0~1b"]), ("a=\ud800", ["/a"])],
    ids=ascii,
)
def test_each_unclean_text_is_named(raw: str, pointers: list[str]) -> None:
    with pytest.raises(Problem) as raised:
        read_query(raw)
    assert [error["pointer"] for error in raised.value.extensions["errors"]] == pointers
