"""`document.extract` on valid, broken and malicious PDFs."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import jsonschema_rs
import pytest
from fpdf.enums import EncryptionMethod
from pydantic import ValidationError

from asyncjobs import Fatal, JobCancelled
from asyncjobs.testing import CollectedResult, FakeContext
from jobs import document_extract
from jobs.document_extract import ExtractInput, ExtractOutput, extract
from local.samples import pdfs, raw_pdf

KEY = "2026/report.pdf"
SAMPLES = Path(__file__).parents[3] / "local/samples"


def run(document: bytes, *, context: FakeContext | None = None) -> bytes:
    """Return the job's result as the client receives it."""
    context = context or FakeContext()
    context.inputs = {KEY: document}
    result = extract(ExtractInput(key=KEY), context)
    assert isinstance(result, CollectedResult)
    return result.getvalue()


def read(document: bytes) -> ExtractOutput:
    return ExtractOutput.model_validate_json(run(document))


def failure(document: bytes) -> Fatal:
    with pytest.raises(Fatal) as caught:
        run(document)
    return caught.value


def one_object_pages(pages: bytes, *, trailer: bytes = b"") -> bytes:
    """Return a document whose page tree is only this object."""
    return raw_pdf.by_hand([b"<</Type/Catalog/Pages 2 0 R>>", pages, b"<</Type/Page/Parent 2 0 R>>"], trailer=trailer)


# ── Text and metadata ────────────────────────────────────────────────────────────────────────────────


def test_document_gives_its_pages_with_text_and_word_counts() -> None:
    output = read(pdfs.report())

    assert output.page_count == pdfs.REPORT_PAGES
    assert [page.page for page in output.pages] == [1, 2, 3, 4, 5]
    assert output.pages[0].text.startswith("Why do the work later\nAn HTTP request is a conversation")
    assert output.pages[0].word_count == len(output.pages[0].text.split()) > 250
    assert output.word_count == sum(page.word_count for page in output.pages)


def test_every_word_of_the_source_is_extracted() -> None:
    chapters = sorted(pdfs.HANDBOOK.glob("*.md"))[: pdfs.REPORT_PAGES]
    source = [chapter.read_text(encoding="utf-8").removeprefix("# ").split() for chapter in chapters]

    assert [page.text.split() for page in read(pdfs.report()).pages] == source


def test_metadata_is_the_documents_own() -> None:
    metadata = read(pdfs.report()).metadata

    assert (metadata.title, metadata.author) == (pdfs.REPORT_TITLE, pdfs.REPORT_AUTHOR)
    assert metadata.created_at == pdfs.MADE_AT
    assert metadata.subject is None


def test_pdf_in_the_request_equals_one_in_the_inputs_area() -> None:
    inline = extract(ExtractInput(pdf=base64.b64encode(pdfs.report()).decode()), FakeContext())

    assert isinstance(inline, CollectedResult)
    assert inline.getvalue() == run(pdfs.report())


def test_page_without_text_is_an_empty_page() -> None:
    output = read(raw_pdf.with_contents(b""))

    assert [(page.text, page.word_count) for page in output.pages] == [("", 0)]


def test_document_encrypted_without_a_password_is_read() -> None:
    document = pdfs.encrypted_report(user_password="", method=EncryptionMethod.RC4)

    assert read(document).pages == read(pdfs.report()).pages


def test_date_without_an_offset_is_utc_and_an_invalid_one_is_omitted() -> None:
    metadata = read(
        one_object_pages(
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            trailer=b"/Info<</CreationDate(D:20260102030405)/ModDate(yesterday)>>",
        )
    ).metadata

    assert json.loads(metadata.model_dump_json(by_alias=True))["createdAt"] == "2026-01-02T03:04:05Z"
    assert metadata.modified_at is None


def test_lone_surrogate_is_replaced_and_a_pair_is_joined() -> None:
    halves = b"1 begincodespacerange <00><FF> endcodespacerange 2 beginbfchar\n<41> <D83D>\n<42> <DE00>\nendbfchar"

    output = read(raw_pdf.with_contents(b"BT /F1 12 Tf (xAyABz) Tj ET", to_unicode=halves))

    assert output.pages[0].text == "x\ufffdy\N{GRINNING FACE}z"


# ── Progress and cancellation ────────────────────────────────────────────────────────────────────────


def test_progress_counts_the_pages() -> None:
    context = FakeContext()

    run(pdfs.report(), context=context)

    assert context.reports == [
        (0, "Opening the document"),
        (0, "Reading page 1 of 5"),
        (20, "Reading page 2 of 5"),
        (40, "Reading page 3 of 5"),
        (60, "Reading page 4 of 5"),
        (80, "Reading page 5 of 5"),
    ]


def test_cancelled_job_reads_no_further_page() -> None:
    @dataclass
    class CancelledOnPage3(FakeContext):
        def progress(self, percent: float, message: str | None = None) -> None:
            if message == "Reading page 3 of 5":
                self.interruption = JobCancelled()
            super().progress(percent, message)

    context = CancelledOnPage3()

    with pytest.raises(JobCancelled):
        run(pdfs.report(), context=context)
    assert context.reports[-1] == (40, "Reading page 3 of 5")


# ── Result ───────────────────────────────────────────────────────────────────────────────────────────


def test_streamed_result_is_the_declared_output() -> None:
    result = run(pdfs.report())

    jsonschema_rs.validate(ExtractOutput.model_json_schema(mode="serialization"), json.loads(result))
    output = json.loads(ExtractOutput.model_validate_json(result).model_dump_json(by_alias=True))
    assert json.loads(result) == output


def test_result_is_written_page_by_page() -> None:
    class Pieces(CollectedResult):
        def write(self, data: bytes, /) -> int:
            sizes.append(len(data))
            return super().write(data)

    @dataclass
    class PiecewiseContext(FakeContext):
        def stream_result(self, content_type: str = "application/json") -> CollectedResult:
            return Pieces(content_type)

    sizes: list[int] = []

    result = run(pdfs.report(), context=PiecewiseContext())

    assert len(sizes) > pdfs.REPORT_PAGES
    assert max(sizes) < len(result) / 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pages() -> None:
    class Discarded(CollectedResult):
        def write(self, data: bytes, /) -> int:
            return len(data)

    @dataclass
    class MeasuringContext(FakeContext):
        def stream_result(self, content_type: str = "application/json") -> CollectedResult:
            return Discarded(content_type)

        def progress(self, percent: float, message: str | None = None) -> None:
            if message in {"Reading page 52 of 152", "Reading page 152 of 152"}:
                gc.collect()  # objects that wait for the collector do not count
                held.append(tracemalloc.get_traced_memory()[0])

    held: list[int] = []
    document = raw_pdf.long_report(152)
    tracemalloc.start()
    try:
        run(document, context=MeasuringContext())
    finally:
        tracemalloc.stop()

    early, late = held
    # If pypdf kept every object, it would hold a million bytes here.
    assert late - early < 100_000


@pytest.mark.slow
def test_document_of_several_hundred_pages_is_read_to_its_end() -> None:
    context = FakeContext()

    output = ExtractOutput.model_validate_json(run(raw_pdf.long_report(320), context=context))

    assert len(output.pages) == output.page_count == 320
    assert all(page.text.startswith(f"Day {page.page}, ") for page in output.pages)
    assert context.reports[-1] == (100 * 319 / 320, "Reading page 320 of 320")


# ── Unreadable documents ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(lambda: b"", "NOT_A_PDF", id="nothing at all"),
        pytest.param(lambda: b"<!doctype html><title>Sign in</title>", "NOT_A_PDF", id="a web page"),
        pytest.param(lambda: b" " * 1024 + pdfs.report(), "NOT_A_PDF", id="a header that comes too late"),
        pytest.param(pdfs.broken_report, "BROKEN_PDF", id="half a document"),
        pytest.param(lambda: b"%PDF-1.7\n" + bytes(range(256)) * 20, "BROKEN_PDF", id="noise behind a header"),
        pytest.param(lambda: raw_pdf.by_hand([b"<</Type/Catalog>>"]), "BROKEN_PDF", id="no page tree"),
        pytest.param(
            lambda: one_object_pages(b"<</Type/Pages/Kids[2 0 R]/Count 1>>"), "BROKEN_PDF", id="a page tree in a circle"
        ),
        pytest.param(lambda: one_object_pages(b"<</Type/Pages/Kids[]/Count 0>>"), "EMPTY_PDF", id="no pages"),
        pytest.param(pdfs.encrypted_report, "ENCRYPTED_PDF", id="encrypted with AES-256"),
        pytest.param(
            lambda: pdfs.encrypted_report(method=EncryptionMethod.AES_128), "ENCRYPTED_PDF", id="encrypted with AES-128"
        ),
        pytest.param(lambda: pdfs.encrypted_report(method=EncryptionMethod.RC4), "ENCRYPTED_PDF", id="encrypted with RC4"),
        pytest.param(
            lambda: raw_pdf.with_contents(b"BT (a) Tj " + b"[" * 100_000),
            "PDF_TOO_COMPLEX",
            id="a hundred thousand nested lists",
        ),
        pytest.param(lambda: raw_pdf.with_contents(b" " * 16_000_000), "PDF_TOO_COMPLEX", id="a page that unpacks to 16 MB"),
    ],
)
def test_unreadable_document_fails_with_advice(make: Callable[[], bytes], code: str) -> None:
    error = failure(make())

    assert error.code == code
    assert error.message.startswith(("The document ", "This is not ", "Page 1 of 1 ")), error.message
    assert error.message.endswith(".")
    assert any(advice in error.message for advice in ("Check ", "Send ", "Save ", "Print ")), error.message


def test_damaged_page_is_named() -> None:
    error = failure(raw_pdf.with_contents(b"BT (whole) Tj ET", b"BT (half) Tj ET <<<", b"BT (whole) Tj ET"))

    assert error.code == "BROKEN_PDF"
    assert error.message.startswith("Page 2 of 3 is damaged")


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 5_000), ("MAX_PAGES", 4)])
def test_document_over_the_limit_fails_with_advice_to_split_it(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(document_extract, limit, value)

    error = failure(pdfs.report())

    assert error.code == "PDF_TOO_LARGE"
    assert "Split it" in error.message


def test_missing_input_is_the_contexts_error() -> None:
    with pytest.raises(Fatal) as caught:
        extract(ExtractInput(key="nowhere.pdf"), FakeContext())

    assert caught.value.code == "INPUT_MISSING"


def test_lost_connection_is_not_reported_as_a_broken_document() -> None:
    class LostConnection(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    @dataclass
    class Context(FakeContext):
        def open_input(self, key: str) -> BinaryIO:
            return LostConnection()

    with pytest.raises(ConnectionResetError):
        extract(ExtractInput(key=KEY), Context())


def test_document_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    document = pdfs.broken_report()
    caplog.set_level(logging.DEBUG)

    failure(document)

    assert caplog.records == []


def test_same_documents_are_read_and_rejected_without_compiled_libraries() -> None:
    # Lambda has no `cryptography`; here it comes with the test tools.
    script = """
import sys
sys.modules["cryptography"] = sys.modules["Crypto"] = None
from asyncjobs import Fatal
from asyncjobs.testing import FakeContext
from jobs.document_extract import ExtractInput, extract
for path in sys.argv[1:]:
    try:
        print(len(extract(ExtractInput(key="k"), FakeContext(inputs={"k": open(path, "rb").read()})).getvalue()))
    except Fatal as error:
        print(error.code)
"""
    report, encrypted = SAMPLES / "report.pdf", SAMPLES / "encrypted.pdf"

    answers = subprocess.run(
        [sys.executable, "-c", script, report, encrypted],
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout.split()

    assert answers == [str(len(run(report.read_bytes()))), "ENCRYPTED_PDF"]


# ── Input ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"pdf": "JVBERi0xLjc="}, True),
        ({"key": "2026/report.pdf"}, True),
        ({"key": "Übersicht (1).pdf"}, True),
        ({}, False),
        ({"pdf": "JVBERi0xLjc=", "key": "report.pdf"}, False),
        ({"pdf": ""}, False),
        ({"key": ""}, False),
        ({"pdf": "JVBERi0xLjc"}, False),
        ({"pdf": "JVBE\nRi0x"}, False),
        ({"pdf": "not base64!"}, False),
        ({"pdf": "A" * 256_000}, True),
        ({"pdf": "A" * 256_004}, False),
        ({"key": "k" * 513}, False),
        ({"key": "/report.pdf"}, False),
        ({"key": "report\x00.pdf"}, False),
        ({"key": 7}, False),
        ({"key": "report.pdf", "pages": 3}, False),
    ],
)
def test_schema_rejects_the_same_inputs_as_the_model(value: dict[str, Any], fits: bool) -> None:
    def is_valid_for_the_model() -> bool:
        try:
            ExtractInput.model_validate(value)
        except ValidationError:
            return False
        return True

    validator = jsonschema_rs.validator_for(ExtractInput.model_json_schema())

    assert (validator.is_valid(value), is_valid_for_the_model()) == (fits, fits)


# ── Samples ──────────────────────────────────────────────────────────────────────────────────────────


def test_sample_report_is_the_generated_one() -> None:
    assert read((SAMPLES / "report.pdf").read_bytes()) == read(pdfs.report())


@pytest.mark.parametrize(("name", "code"), [("broken.pdf", "BROKEN_PDF"), ("encrypted.pdf", "ENCRYPTED_PDF")])
def test_other_samples_fail_as_their_readme_says(name: str, code: str) -> None:
    assert failure((SAMPLES / name).read_bytes()).code == code
