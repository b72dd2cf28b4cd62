"""`document.extract`: the text and metadata of a PDF, page by page. A page that cannot be read is a warning."""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import SEEK_END, BytesIO
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from traceback import clear_frames
from types import TracebackType
from typing import IO, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pypdf import Configuration, DocumentInformation, PageObject, PdfReader, apply_configuration
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from asyncjobs import Fatal, JobContext, ResultStream, job
from jobs.budget import OutOfTime, budget
from jobs.pdf_page import CUT, DAMAGED, filled_in, has_cut_streams, replace_damaged_pages, unreadable_fonts

MAX_BYTES = 100_000_000
MAX_PAGES = 5_000

# What a document expands to is bounded: 2 KB can become a gigabyte of text, or keep pypdf busy for hours. A densely printed
# page has 10,000 characters, and takes 50 ms.
MAX_PAGE_TEXT = 1_000_000
MAX_TEXT = 20_000_000
MAX_METADATA_TEXT = 10_000
SECONDS_TO_OPEN, SECONDS_FOR_METADATA, SECONDS_PER_PAGE = 30, 5, 20  # of processor time
SECONDS_OF_ALL_PAGES, SECONDS_MORE_PER_PAGE = 60, 0.1
SECONDS_TO_END = 45  # on the clock, before the attempt's time is over
MEGABYTES_TO_OPEN, MEGABYTES_PER_PAGE = 512, 256
_MAX_REASONS = 20  # log lines about one document

# Limits for one stream. pypdf's own are five times as high.
_LIMITS = Configuration(
    zlib_maximum_output_length=15_000_000,
    lzw_maximum_output_length=15_000_000,
    run_length_maximum_output_length=15_000_000,
    brotli_maximum_output_length=15_000_000,
    array_based_stream_maximum_output_length=15_000_000,
    stream_decoding_work_maximum_length=60_000_000,
    stream_parsing_work_maximum_count=2_000_000,
    xform_maximum_invocations_per_extraction=500,
)

# pypdf caches every object, 12 KB per printed page. Clearing the cache leaves 3 KB; clearing it after each page would
# read shared objects (fonts, packed objects) again for each page.
_PAGES_BETWEEN_FORGETTING = 50

# Other bytes may precede the header; readers search the first 1024.
_HEADER, _HEADER_WITHIN = b"%PDF-", 1024

_END = b"%%EOF"
_END_WITHOUT_TABLE = b"\nstartxref\n0\n%%EOF\n"
"""An end that names no table of objects: pypdf then looks for all objects itself."""

_CHUNK = 1_000_000

# pypdf logs what it repairs, and quotes the document: see `_Repairs`.
_PYPDF_LOGGER = logging.getLogger("pypdf")
_PYPDF_LOGGER.setLevel(logging.WARNING)
_PYPDF_LOGGER.propagate = False
_PYPDF_LOGGER.addHandler(logging.NullHandler())  # without any handler, Python prints to stderr
_LEFT_OUT = (
    "Error -3 while decompressing data",
    "Exceeded %(limit)d form XObject invocations",
    "Impossible to decode XFormObject",
    "Object %(idnum)d %(generation)d not defined.",
)
_ENTRIES_LEFT_OUT = {"%(exception)s", "%(exception)r"}
"""The whole warnings of a dictionary with an entry that is not PDF."""

_UNREADABLE = "\ufffd"
_VISIBLE = re.compile(r"\S")

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
    """One page, counted from 1. A page that is only a picture, or that could not be read, has no text."""

    page: int
    text: str = Field(description="The printed text, then the values of form fields, a line for each.")
    word_count: int


GapCode = Literal[
    "DOCUMENT_CUT",
    "FONT_WITHOUT_MAP",
    "METADATA_CUT",
    "METADATA_DAMAGED",
    "PAGES_NOT_READ",
    "PAGE_DAMAGED",
    "PAGE_INCOMPLETE",
    "PAGE_REPEATED",
    "PAGE_TOO_COMPLEX",
    "PAGE_TOO_LONG",
]


class Gap(_Wire):
    """Something that the result lacks, or that may be wrong in it."""

    page: int | None = Field(description="The page that it is about; null for the whole document.")
    code: GapCode
    message: str


class ExtractOutput(_Wire):
    """The document's text. Words are separated by white space."""

    metadata: Metadata
    page_count: int
    pages: list[Page]
    word_count: int
    warnings: list[Gap] = Field(description="What could not be read. Empty for a document that was read completely.")


@job(
    "document.extract",
    expected_seconds=20,
    timeout_seconds=300,
    max_attempts=3,
    retry_timeouts=False,
    retention_seconds=7 * 24 * 3600,
)
def extract(input: ExtractInput, context: JobContext) -> ExtractOutput | ResultStream:
    """Read a PDF: the text of each page with filled-in forms, word counts and metadata.

    A page that cannot be read is a warning. Fails without retries, with a code and advice, when nothing can be read:
    `NOT_A_PDF`, `BROKEN_PDF`, `ENCRYPTED_PDF`, `EMPTY_PDF`, `PDF_TOO_LARGE`, `PDF_TOO_COMPLEX`. Holds one page's text at a
    time, for any number of pages.
    """
    context.progress(0, "Opening the document")
    with open_document(input, context) as document:
        return _write(document, context)


@contextmanager
def open_document(input: ExtractInput, context: JobContext) -> Iterator[Document]:
    """Open a document, for jobs that read its pages for a purpose of their own. Raises what `extract` fails with."""
    with TemporaryFile() as file, apply_configuration(_LIMITS):
        _fetch(input, context, into=file)
        yield Document(file, context)


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


def _write(document: Document, context: JobContext) -> ResultStream:
    """Write an `ExtractOutput` in pieces, so that memory holds no more than one page."""
    count, word_count = document.page_count, 0
    with context.stream_result() as out:
        out.write(b'{"metadata":%b,"pageCount":%d,"pages":[' % (_json(document.metadata()), count))
        for number in range(1, count + 1):
            context.progress(100 * (number - 1) / count, f"Reading page {number} of {count}")
            text = document.text_of(number)
            page = Page(page=number, text=text, word_count=len(text.split()))
            word_count += page.word_count
            out.write((b"," if number > 1 else b"") + _json(page))
        document.require_a_page()
        out.write(b'],"wordCount":%d,"warnings":[%b]}' % (word_count, b",".join(map(_json, document.warnings))))
    return out


class Document:
    """Reads what it can of a document, within its bounds, and collects `warnings` about the rest."""

    page_count: int

    def __init__(self, file: IO[bytes], context: JobContext) -> None:
        self.warnings: list[Gap] = []
        self._context = context
        self._reasons = 0
        self._reader = self._opened(file)
        self._first_page_with: dict[object, int] = {}
        self._text_left = MAX_TEXT
        self._stops_at = time.process_time() + SECONDS_OF_ALL_PAGES + SECONDS_MORE_PER_PAGE * self.page_count
        self._failure: _Cause | None = None
        self._pages_read = 0
        self._has_stopped = False

    def _opened(self, file: IO[bytes]) -> PdfReader:
        if _HEADER not in file.read(_HEADER_WITHIN):
            raise Fatal(
                "This is not a PDF: it does not begin with '%PDF-'. Check that the file itself was sent, whole and unchanged.",
                code="NOT_A_PDF",
            )
        if _lacks_its_end(file):
            file.seek(0, SEEK_END)
            file.write(_END_WITHOUT_TABLE)
            self._warn(
                None,
                "DOCUMENT_CUT",
                "The end of the document is missing, and so may be its last pages. Send the file again, whole.",
            )
        try:
            with _explained(), _Repairs() as repairs, budget(seconds=SECONDS_TO_OPEN, megabytes=MEGABYTES_TO_OPEN):
                reader = PdfReader(file)
                replace_damaged_pages(reader.root_object, repairs)
                self.page_count = len(reader.pages)
        except Unreadable as error:
            self._log("The document", error)
            raise error.cause.of("The document") from error
        if self.page_count == 0:
            raise Fatal("The document has no pages. Check that the right file was sent.", code="EMPTY_PDF")
        if self.page_count > MAX_PAGES:
            raise Fatal(
                f"The document has {self.page_count} pages; {MAX_PAGES} are read at most. Split it and submit the parts.",
                code="PDF_TOO_LARGE",
            )
        return reader

    def metadata(self) -> Metadata:
        """Return the metadata, all null if they cannot be read."""
        try:
            with _explained(), budget(seconds=SECONDS_FOR_METADATA, megabytes=MEGABYTES_PER_PAGE):
                information = self._reader.metadata or DocumentInformation()
                names = ("title", "author", "subject", "keywords", "creator", "producer")
                return Metadata(
                    **{name: self._short(name, getattr(information, name)) for name in names},
                    created_at=_moment(information, "creation_date"),
                    modified_at=_moment(information, "modification_date"),
                )
        except Unreadable as error:
            self._require_no_password(error)
            self._log("Its metadata", error)
            self._warn(None, "METADATA_DAMAGED", "The document's metadata cannot be read.")
            return Metadata.model_validate(dict.fromkeys(Metadata.model_fields))

    def text_of(self, number: int) -> str:
        """Return the page's text, empty if it cannot be read."""
        page = self._reader.pages[number - 1]
        if self._is_repeated(page, number) or self._has_to_stop(number):
            return ""
        if DAMAGED in page:
            self._leave_out(number, _DAMAGED)
            return ""
        repairs = _Repairs()
        try:
            with _explained(), repairs, budget(seconds=SECONDS_PER_PAGE, megabytes=MEGABYTES_PER_PAGE):
                printed, unreadable = _printed(page)
                filled, is_complete = filled_in(page)
                is_cut = CUT in page or has_cut_streams(page)
                text = _valid("\n".join(filter(None, (printed, *filled))))
        except Unreadable as error:
            self._require_no_password(error)
            self._reader.resolved_objects.clear()
            self._log(f"Page {number}", error)
            self._leave_out(number, error.cause)
            return ""
        self._pages_read += 1
        if self._pages_read % _PAGES_BETWEEN_FORGETTING == 1:
            self._reader.resolved_objects.clear()
        for font in unreadable:
            which = f"the font {font!r}" if font else "a font without a name"
            message = (
                f"Page {number} has text in {which}, whose codes have no map to characters. It is given as {_UNREADABLE!r}."
            )
            self._warn(number, "FONT_WITHOUT_MAP", message)
        is_marked = _UNREADABLE in text and not unreadable  # pypdf's own mark, as for a font that is missing
        if repairs.left_something_out or is_cut or is_marked or not is_complete:
            self._warn(number, "PAGE_INCOMPLETE", f"Page {number} has parts that cannot be read, and are left out.")
        return self._cut(number, text)

    def require_a_page(self) -> None:
        """Fail if no page could be read, for the reason of the first one."""
        if self._failure is not None and not self._pages_read:
            raise self._failure.of("Page 1 of 1" if self.page_count == 1 else "The document")

    # ── Bounds ─────────────────────────────────────────────────────────────────────────────────────────

    def _is_repeated(self, page: PageObject, number: int) -> bool:
        """Return whether the page is an earlier one again: listing it again costs the document 6 bytes, and reading it more."""
        reference = page.indirect_reference
        if reference is None:
            return False
        first = self._first_page_with.setdefault((reference.idnum, reference.generation), number)
        if first == number:
            return False
        self._warn(number, "PAGE_REPEATED", f"Page {number} is page {first} again. Its text is given once.")
        return True

    def _has_to_stop(self, number: int) -> bool:
        """Return whether the document has used up what all its pages may cost."""
        if self._has_stopped or number == 1:
            return self._has_stopped
        is_late = time.process_time() > self._stops_at or self._context.remaining_seconds < SECONDS_TO_END
        self._has_stopped = is_late or not self._text_left
        if self._has_stopped:
            why = "takes too long to read" if is_late else f"has more than {MAX_TEXT} characters"
            self._warn(
                number,
                "PAGES_NOT_READ",
                f"The document {why}. Page {number} and all later ones are left out: submit them as a document of their own.",
            )
        return self._has_stopped

    def _cut(self, number: int, text: str) -> str:
        if len(text) > MAX_PAGE_TEXT:
            message = f"Page {number} has {len(text)} characters. All after the first {MAX_PAGE_TEXT} are left out."
            self._warn(number, "PAGE_TOO_LONG", message)
        text = text[: min(MAX_PAGE_TEXT, self._text_left)]
        self._text_left -= len(text)
        return text

    def _short(self, name: str, text: str | None) -> str | None:
        if text is None or len(text) <= MAX_METADATA_TEXT:
            return _valid(text or "") or None
        message = f"The {name} has {len(text)} characters. All after the first {MAX_METADATA_TEXT} are left out."
        self._warn(None, "METADATA_CUT", message)
        return _valid(text[:MAX_METADATA_TEXT])

    def _leave_out(self, number: int, cause: _Cause) -> None:
        self._failure = self._failure or cause
        self._warn(number, cause.page_code, f"Page {number} {cause.what}, and is left out.")

    # ── Reports ────────────────────────────────────────────────────────────────────────────────────────

    def _warn(self, page: int | None, code: GapCode, message: str) -> None:
        self.warnings.append(Gap(page=page, code=code, message=message))

    def _log(self, what: str, error: Unreadable) -> None:
        """Log pypdf's own reason. The exception's text may quote the document: the deployment decides whether it is logged."""
        self._reasons += 1
        if self._reasons <= _MAX_REASONS:
            self._context.logger.warning("%s %s.", what, error.cause.what, exc_info=error.__cause__)

    def _require_no_password(self, error: Unreadable) -> None:
        if error.cause is _ENCRYPTED:
            self._log("The document", error)
            raise error.cause.of("The document") from error


# ── pypdf ────────────────────────────────────────────────────────────────────────────────────────────


def _printed(page: PageObject) -> tuple[str, list[str]]:
    """Return the page's text, and the fonts whose text is unreadable in it."""
    names = unreadable_fonts(page)
    if not names:
        return page.extract_text(), []
    pieces: list[str] = []
    used: dict[str, None] = {}

    def collect(text: str, _cm: object, _tm: object, font: object, _size: object) -> None:
        if id(font) in names and _VISIBLE.search(text):
            used[names[id(font)]] = None
            text = _VISIBLE.sub(_UNREADABLE, text)
        pieces.append(text)

    page.extract_text(visitor_text=collect)
    return "".join(pieces), list(used)


class _Repairs(logging.Handler):
    """Notes what pypdf warns of in a block: what the text lacks, by the constant part of the warning, not by its quotes."""

    def __init__(self) -> None:
        super().__init__()
        self.left_something_out = False

    def __enter__(self) -> Self:
        _PYPDF_LOGGER.addHandler(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _PYPDF_LOGGER.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.left_something_out |= record.msg in _ENTRIES_LEFT_OUT or record.msg.startswith(_LEFT_OUT)


def _moment(information: DocumentInformation, name: str) -> datetime | None:
    try:
        moment: datetime | None = getattr(information, name)
    except ValueError:
        return None  # many programs write invalid dates, and the text is useful without them
    # ISO 32000-1, 7.9.4: without an offset, a date is in GMT.
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _lacks_its_end(file: IO[bytes]) -> bool:
    file.flush()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as whole:
        return whole.rfind(_END) < 0


@dataclass(frozen=True)
class _Cause:
    """Why a document, or a page of it, cannot be read."""

    code: str
    page_code: GapCode
    what: str
    advice: str

    def of(self, subject: str) -> Fatal:
        """Return the end of a job that this prevents."""
        return Fatal(f"{subject} {self.what}. {self.advice}", code=self.code)


_ENCRYPTED = _Cause(
    "ENCRYPTED_PDF",
    "PAGE_DAMAGED",
    "is encrypted",
    "Save a copy without encryption, for example with `qpdf --decrypt in.pdf out.pdf`, and submit that.",
)
_TOO_COMPLEX = _Cause(
    "PDF_TOO_COMPLEX",
    "PAGE_TOO_COMPLEX",
    "is too complex to be read safely",
    "Print it to a new PDF, or leave that part out.",
)
_DAMAGED = _Cause(
    "BROKEN_PDF",
    "PAGE_DAMAGED",
    "is damaged or incomplete",
    "Send the file again, or repair it first, for example with `qpdf in.pdf out.pdf`.",
)


class Unreadable(Exception):
    """Something cannot be read. Its own cause is pypdf's exception."""

    def __init__(self, cause: _Cause) -> None:
        super().__init__(cause.code)
        self.cause = cause


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the errors of pypdf, and the end of a budget, into `Unreadable`."""
    try:
        yield
    except (Exception, OutOfTime) as error:  # "broken PDF files might cause other Exceptions", says pypdf.errors
        clear_frames(error.__traceback__)  # they hold what was read so far, perhaps all the memory that it may take
        raise Unreadable(_cause_of(error)) from error


def _cause_of(error: BaseException) -> _Cause:
    # pypdf turns an error that an object causes into one of the file.
    if any(isinstance(each, _LIMITS_OF_A_PAGE) for each in (error, error.__cause__)):
        return _TOO_COMPLEX
    # pypdf opens documents that are encrypted without a password.
    return _ENCRYPTED if isinstance(error, FileNotDecryptedError | DependencyError) else _DAMAGED


_LIMITS_OF_A_PAGE = (LimitReachedError, RecursionError, MemoryError, OutOfTime)


# ── Result ───────────────────────────────────────────────────────────────────────────────────────────


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(by_alias=True).encode()


def _valid(text: str) -> str:
    """Return the text as valid Unicode: a font's broken table can yield half a surrogate pair, which UTF-8 cannot encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
