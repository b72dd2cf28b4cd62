"""Forms as browsers, curl and libraries send them, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.http.dialects.multipart import MAX_FIELDS, File, read_form
from asyncjobs.http.problems import Problem

TYPE = "multipart/form-data; boundary=b"
FILE = ('form-data; name="file"; filename="a.pdf"', "application/pdf", b"%PDF")


def form(*parts: tuple[str, str, bytes], boundary: str = "b") -> bytes:
    lines = b""
    for disposition, content_type, data in parts:
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        lines += f"{head}Content-Type: {content_type}\r\n\r\n".encode() + data + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


def field(name: str, value: str) -> tuple[str, str, bytes]:
    return (f'form-data; name="{name}"', "text/plain", value.encode())


def test_file_and_fields_are_read() -> None:
    file, fields = read_form(TYPE, form(FILE, field("documentType", "contract"), field("parentId", "\u00fc")))
    assert file == File("a.pdf", "application/pdf", b"%PDF")
    assert fields == {"documentType": "contract", "parentId": "\u00fc"}


@given(st.binary(max_size=200))
def test_any_bytes_of_a_file_arrive(data: bytes) -> None:
    boundary = "----boundary7MA4YWxkTrZu0gW"
    file, _ = read_form(f'multipart/form-data; boundary="{boundary}"', form((FILE[0], "x/y", data), boundary=boundary))
    assert file.data == data


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="file"; filename="a \\"b\\".pdf"', 'a "b".pdf'),
        ('form-data; name="file"; filename="a %22b%22.pdf"', 'a "b".pdf'),
        ("form-data; name=file; filename=a.pdf", "a.pdf"),
        ('form-data;name="file";FILENAME="a.pdf"', "a.pdf"),
        ('form-data; name="file"; filename="\u00fc.pdf"', "\u00fc.pdf"),
        ('form-data; name="file"; filename=""', ""),
        ('form-data; name="file"; filename="a.pdf"; filename*=UTF-8\'\'b.pdf', "a.pdf"),
    ],
)
def test_file_name_is_read_as_it_is_quoted(disposition: str, name: str) -> None:
    assert read_form(TYPE, form((disposition, "x/y", b"")))[0].name == name


@pytest.mark.parametrize("content_type", ["", "text", "text/plain\u00fc", "x" * 60 + "/y", 'a/b"c'])
def test_odd_type_of_a_file_is_that_of_any_bytes(content_type: str) -> None:
    file, _ = read_form(TYPE, form((FILE[0], content_type, b"")))
    assert file.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("multipart/form-data", form(FILE)),
        (TYPE, b""),
        (TYPE, b"--b\r\n"),
        (TYPE, b"no form"),
        (TYPE, form(FILE)[:-6]),
        (TYPE, form()),
        (TYPE, form(field("a", "b"))),
        (TYPE, form(FILE, FILE)),
        (TYPE, form(FILE, field("a", "b"), field("a", "c"))),
        (TYPE, form(FILE, *(field(f"f{number}", "x") for number in range(MAX_FIELDS + 1)))),
        (TYPE, form(FILE, ("form-data", "x/y", b""))),
        (TYPE, form(FILE, ('form-data; name="a"', "x/y", b"\xff"))),
        (TYPE, b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n--b--\r\n"),
    ],
)
def test_body_that_is_not_a_form_with_one_file_is_rejected(content_type: str, data: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read_form(content_type, data)
    assert caught.value.code == "INVALID_REQUEST"


@given(st.binary(max_size=100), st.text(max_size=30))
def test_any_bytes_are_a_form_or_a_problem(data: bytes, content_type: str) -> None:
    for body in (data, b"--b" + data + b"\r\n--b--"):
        for kind in (TYPE, content_type):
            try:
                file, _ = read_form(kind, body)
            except Problem:
                continue
            assert file.data in body
