"""The documents of an index, read from uploads: PDF by `document.extract`, and plain text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from asyncjobs import Fatal, JobContext
from jobs.document_extract import Document as Pdf
from jobs.document_extract import ExtractInput, open_document
from jobs.search_index_file import Document

MAX_TEXT = 5_000_000
"""Bytes of a plain text."""
_TITLE_LENGTH = 200
_PDF, _PDF_WITHIN = b"%PDF-", 1024


@contextmanager
def read_upload(key: str, context: JobContext, *, depth: int | None) -> Iterator[Document]:
    """Open an upload as a document whose pages are read one by one, `depth` of them at most.

    Raises `Fatal` for an upload without text, with the reason.
    """
    with context.open_input(key) as file:
        beginning = file.read(_PDF_WITHIN)
        if _PDF not in beginning:
            yield _plain(key, beginning + file.read(MAX_TEXT), depth)
            return
    with open_document(ExtractInput(key=key), context) as pdf:
        about = pdf.metadata()
        yield Document(
            key=key,
            title=about.title or key,
            subject=about.subject or "",
            keywords=about.keywords or "",
            pages=islice(_pages(pdf), depth),
        )


def _pages(pdf: Pdf) -> Iterator[tuple[int, str]]:
    for number in range(1, pdf.page_count + 1):
        yield number, pdf.text_of(number)
    pdf.require_a_page()


def _plain(key: str, data: bytes, depth: int | None) -> Document:
    if len(data) > MAX_TEXT:
        raise Fatal(f"The text is larger than {MAX_TEXT // 1_000_000} MB. Split it.", code="TEXT_TOO_LARGE")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Fatal("The upload is neither a PDF nor a text in UTF-8.", code="NOT_A_TEXT") from error
    if "\0" in text:
        raise Fatal("The upload is neither a PDF nor a text in UTF-8.", code="NOT_A_TEXT")
    heading = next((line.strip("# \t") for line in text.splitlines() if line.strip("# \t")), key)
    pages = text.split("\f")[:depth]
    return Document(key=key, title=heading[:_TITLE_LENGTH], pages=list(enumerate(pages, start=1)))
