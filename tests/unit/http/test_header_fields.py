"""Lists in header fields: elements, parameters and weights."""

from __future__ import annotations

import time

import pytest

from asyncjobs.http.header_fields import accepted, elements, is_accepted, item, pair


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        (" a ,b,, c;d=e ", ["a", "b", "c;d=e"]),
        ('a="b,c",d', ['a="b,c"', "d"]),
        (r'a="b\",c",d', [r'a="b\",c"', "d"]),
        ('a="b,c', ['a="b,c']),
        ('"a', ['"a']),
    ],
)
def test_commas_separate_elements_except_in_quotes(field: str, found: list[str]) -> None:
    assert elements(field) == found


@pytest.mark.parametrize(
    ("element", "found"),
    [
        ("", ("", {})),
        ("Text/HTML", ("text/html", {})),
        ("a/b;", ("a/b", {})),
        ('a/b; C=D ;e="f;g";h', ("a/b", {"c": "D", "e": "f;g", "h": ""})),
    ],
)
def test_element_has_parameters(element: str, found: tuple[str, dict[str, str]]) -> None:
    assert item(element) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("A = b", ("a", "b")), ("a", ("a", "")), ('a="b=c"', ("a", "b=c")), (r'a="\"\\"', ("a", '"\\')), ('a="', ("a", '"'))],
)
def test_pair_is_a_name_and_a_value(text: str, found: tuple[str, str]) -> None:
    assert pair(text) == found


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("a;q=0, b;q=0.0, c;q=0.000, d;q=.0, e;q=0.", dict.fromkeys("abcde", False)),
        ("a;q=0.001, b;q=1, c;q=high, d;Q=0.5, e;q=", dict.fromkeys("abcde", True)),
        ("a;q=0, a", {"a": True}),
        ("a;v=2;q=0", {}),
    ],
)
def test_weight_0_excludes(field: str, found: dict[str, bool]) -> None:
    assert accepted(field) == found


def test_most_specific_range_decides() -> None:
    ranges = accepted("a/b;q=0, a/*, */*;q=0")
    assert [is_accepted(ranges, name, "a/*", "*/*") for name in ("a/b", "a/c")] == [False, True]
    assert not is_accepted(ranges, "c/d", "c/*", "*/*")
    assert not is_accepted({}, "a/b")


@pytest.mark.parametrize("field", ['"' * 10_000, '\\"' * 5_000, "," * 10_000, 'a;"\\' * 2_500, ";q=" * 3_000])
def test_longest_field_is_read_in_time(field: str) -> None:
    """The gateway allows 10,240 bytes of headers."""
    before = time.process_time()
    accepted(field)
    assert time.process_time() - before < 0.5
