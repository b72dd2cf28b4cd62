"""`document.extract`: the text and metadata of a PDF, page by page."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pypdf import Configuration, DocumentInformation, PdfReader, apply_configuration
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from asyncjobs import Fatal, JobContext, ResultStream, job

MAX_BYTES = 100_000_000
MAX_PAGES = 5_000

# Limits for one stream of a hostile document. With pypdf's defaults, which are five times as high, a PDF of 70 KB took
# 900 MB and half a minute; a densely printed page needs a hundredth of these.
_LIMITS = Configuration(
    zlib_maximum_output_length=15_000_000,
    lzw_maximum_output_length=15_000_000,
    run_length_maximum_output_length=15_000_000,
    brotli_maximum_output_length=15_000_000,
    array_based_stream_maximum_output_length=15_000_000,
    stream_decoding_work_maximum_length=60_000_000,
    stream_parsing_work_maximum_count=500_000,
    xform_maximum_invocations_per_extraction=500,
)

# pypdf caches every object, 12 KB per printed page. Clearing the cache leaves 3 KB; clearing it after each page would
# read shared objects (fonts, packed objects) again for each page.
_PAGES_BETWEEN_FORGETTING = 50

# Other bytes may precede the header; readers search the first 1024.
_HEADER, _HEADER_WITHIN = b"%PDF-", 1024

_CHUNK = 1_000_000

# pypdf logs a warning for everything it repairs, and quotes the document, whose text must not be in our logs.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

# Standard alphabet, whole groups, no line breaks.
_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$"
_NO_CONTROL_CHARACTER_NOR_LEADING_SLASH = r"^[^/\x00-\x1f][^\x00-\x1f]*$"


def _without_default(schema: JsonDict) -> None:
    """Hide the default from clients: the field is either absent or not empty."""
    del schema["default"]


class ExtractInput(BaseModel):
    """A PDF: its bytes as `pdf`, or the `key` of an uploaded one. Give exactly one of the two."""

    # No other field is allowed, so "exactly one" is a count. The schema has it, so that submit can reject the input.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"minProperties": 1, "maxProperties": 1})

    pdf: str = Field(
        default="",
        max_length=256_000,
        pattern=_BASE64,
        description="A small PDF itself, in base64 without line breaks.",
        json_schema_extra=_without_default,
    )
    key: str = Field(
        default="",
        max_length=512,
        pattern=_NO_CONTROL_CHARACTER_NOR_LEADING_SLASH,
        description="The key of a larger PDF in your inputs area.",
        json_schema_extra=_without_default,
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if bool(self.pdf) == bool(self.key):
            raise ValueError("give either `pdf` or `key`, and not both")
        return self


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Metadata(_Wire):
    """The document's metadata, null where it has none."""

    title: str | None
    author: str | None
    subject: str | None
    keywords: str | None
    creator: str | None = Field(description="The program it was written with.")
    producer: str | None = Field(description="The program that made the PDF.")
    created_at: AwareDatetime | None
    modified_at: AwareDatetime | None


class Page(_Wire):
    """One page, counted from 1. A page that is only a picture has no text."""

    page: int
    text: str
    word_count: int


class ExtractOutput(_Wire):
    """The document's text. Words are separated by white space."""

    metadata: Metadata
    page_count: int
    pages: list[Page]
    word_count: int


@job("document.extract", expected_seconds=20, timeout_seconds=300, max_attempts=3, retention_seconds=7 * 24 * 3600)
def extract(input: ExtractInput, context: JobContext) -> ExtractOutput | ResultStream:
    """Read a PDF: the text of each page, word counts and metadata.

    Fails without retries, with a code and advice, when the document is the reason: `NOT_A_PDF`, `BROKEN_PDF`,
    `ENCRYPTED_PDF`, `EMPTY_PDF`, `PDF_TOO_LARGE`, `PDF_TOO_COMPLEX`. Holds one page's text at a time, for any number of pages.
    """
    context.progress(0, "Opening the document")
    with TemporaryFile() as file, apply_configuration(_LIMITS):
        _fetch(input, context, into=file)
        reader, page_count = _open(file)
        return _write(reader, page_count, context)


def _fetch(input: ExtractInput, context: JobContext, *, into: IO[bytes]) -> None:
    # Fetch first, read afterwards: an error while reading is then due to the document, and never to the network.
    with context.open_input(input.key) if input.key else BytesIO(base64.b64decode(input.pdf)) as source:
        while chunk := source.read(_CHUNK):
            into.write(chunk)
            if into.tell() > MAX_BYTES:
                raise Fatal(
                    f"The document is larger than {MAX_BYTES // 1_000_000} MB. Split it and submit the parts.",
                    code="PDF_TOO_LARGE",
                )
    into.seek(0)


def _open(file: IO[bytes]) -> tuple[PdfReader, int]:
    if _HEADER not in file.read(_HEADER_WITHIN):
        raise Fatal(
            "This is not a PDF: it does not begin with '%PDF-'. Check that the file itself was sent, whole and unchanged.",
            code="NOT_A_PDF",
        )
    with _explaining("The document"):
        reader = PdfReader(file)
        page_count = len(reader.pages)
    if page_count == 0:
        raise Fatal("The document has no pages. Check that the right file was sent.", code="EMPTY_PDF")
    if page_count > MAX_PAGES:
        raise Fatal(
            f"The document has {page_count} pages; {MAX_PAGES} are read at most. Split it and submit the parts.",
            code="PDF_TOO_LARGE",
        )
    return reader, page_count


def _write(reader: PdfReader, page_count: int, context: JobContext) -> ResultStream:
    """Write an `ExtractOutput` in pieces, so that memory holds no more than one page."""
    word_count = 0
    with context.stream_result() as out:
        out.write(b'{"metadata":%b,"pageCount":%d,"pages":[' % (_json(_metadata(reader)), page_count))
        for number in range(1, page_count + 1):
            name = f"page {number} of {page_count}"
            context.progress(100 * (number - 1) / page_count, f"Reading {name}")
            page = _page(reader, number, name)
            word_count += page.word_count
            out.write((b"," if number > 1 else b"") + _json(page))
        out.write(b'],"wordCount":%d}' % word_count)
    return out


def _metadata(reader: PdfReader) -> Metadata:
    with _explaining("The document's metadata"):
        information = reader.metadata or DocumentInformation()
        return Metadata(
            title=_text(information.title),
            author=_text(information.author),
            subject=_text(information.subject),
            keywords=_text(information.keywords),
            creator=_text(information.creator),
            producer=_text(information.producer),
            created_at=_moment(information, "creation_date"),
            modified_at=_moment(information, "modification_date"),
        )


def _page(reader: PdfReader, number: int, name: str) -> Page:
    with _explaining(name.capitalize()):
        text = _text(reader.pages[number - 1].extract_text()) or ""
        if number % _PAGES_BETWEEN_FORGETTING == 1:
            reader.resolved_objects.clear()
    return Page(page=number, text=text, word_count=len(text.split()))


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(by_alias=True).encode()


def _text(value: str | None) -> str | None:
    """Return the text as valid Unicode: a font's broken table can yield half a surrogate pair, which UTF-8 cannot encode."""
    return None if value is None else str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _moment(information: DocumentInformation, name: str) -> datetime | None:
    try:
        moment: datetime | None = getattr(information, name)
    except ValueError:
        return None  # many programs write invalid dates, and the text is useful without them
    # ISO 32000-1, 7.9.4: without an offset, a date is in GMT.
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turn errors of pypdf into advice for the sender of the document."""
    try:
        yield
    except (FileNotDecryptedError, DependencyError) as error:
        # pypdf opens documents that are encrypted without a password, but AES only where `cryptography` is installed.
        raise Fatal(
            f"{what} is encrypted. Save a copy without encryption, for example with `qpdf --decrypt in.pdf out.pdf`, "
            "and submit that.",
            code="ENCRYPTED_PDF",
        ) from error
    except (LimitReachedError, RecursionError, MemoryError) as error:
        raise Fatal(
            f"{what} is too complex to be read safely. Print it to a new PDF, or leave that part out.",
            code="PDF_TOO_COMPLEX",
        ) from error
    except Exception as error:  # "broken PDF files might cause other Exceptions", says pypdf.errors
        raise Fatal(
            f"{what} is damaged or incomplete. Send the file again, or repair it first, for example with `qpdf in.pdf out.pdf`.",
            code="BROKEN_PDF",
        ) from error
