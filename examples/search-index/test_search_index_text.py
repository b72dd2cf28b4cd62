"""An upload becomes a document: its pages, its title and its subject."""

from __future__ import annotations

import pytest

from asyncjobs import Fatal
from asyncjobs.testing import FakeContext
from jobs.search_index_file import Document
from jobs.search_index_text import MAX_TEXT, read_upload
from local.samples import pdfs, raw_pdf

KEY = "uploads/00000000-0000-4000-8000-000000000001"


def read(data: bytes, *, depth: int | None = None) -> tuple[Document, list[tuple[int, str]]]:
    """Return the document, and its pages, which can be read only while it is open."""
    with read_upload(KEY, FakeContext(inputs={KEY: data}), depth=depth) as document:
        return document, list(document.pages)


def failure(data: bytes) -> str:
    with pytest.raises(Fatal) as raised:
        read(data)
    return raised.value.code


def test_pdf_has_its_pages_and_its_title() -> None:
    document, pages = read(pdfs.report())
    assert document.title == pdfs.REPORT_TITLE
    assert [number for number, _ in pages] == [1, 2, 3, 4, 5]
    assert pages[0][1].startswith("Why do the work later")


def test_depth_is_the_most_pages_that_are_read() -> None:
    assert len(read(raw_pdf.long_report(pages=9), depth=2)[1]) == 2
    assert len(read(b"one\ftwo\fthree", depth=2)[1]) == 2
    assert len(read(b"one", depth=2)[1]) == 1


def test_plain_text_has_its_first_line_as_title_and_a_page_for_each_form_feed() -> None:
    document, pages = read("\ufeff\n# Größe\n\nText\fMehr".encode())
    assert document.title == "Größe"
    assert pages == [(1, "\n# Größe\n\nText"), (2, "Mehr")]


def test_upload_without_a_title_has_its_key_as_title() -> None:
    assert read(b" \n")[0].title == KEY
    assert read(raw_pdf.with_contents(b""))[0].title == KEY


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe binary", "NOT_A_TEXT"),
        (b"text\0", "NOT_A_TEXT"),
        (b"x" * (MAX_TEXT + 1), "TEXT_TOO_LARGE"),
        (pdfs.encrypted_report(), "ENCRYPTED_PDF"),
        (b"%PDF-1.7 and no more", "BROKEN_PDF"),
    ],
    ids=["no UTF-8", "NUL", "large", "encrypted", "broken"],
)
def test_upload_that_has_no_text_is_fatal_with_the_reason(data: bytes, code: str) -> None:
    assert failure(data) == code


def test_missing_upload_is_fatal() -> None:
    with pytest.raises(Fatal) as raised, read_upload(KEY, FakeContext(), depth=None):
        pass
    assert raised.value.code == "INPUT_MISSING"
