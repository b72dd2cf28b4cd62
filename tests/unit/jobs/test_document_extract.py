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

# The end of a page's time may come in a callback of the garbage collector, which swallows it. It comes again.
OUT_OF_TIME = pytest.mark.filterwarnings("ignore:(?s).*OutOfTime:pytest.PytestUnraisableExceptionWarning")

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


@pytest.mark.parametrize("method", [EncryptionMethod.RC4, EncryptionMethod.AES_128, EncryptionMethod.AES_256])
def test_document_encrypted_without_a_password_is_read(method: EncryptionMethod) -> None:
    document = pdfs.encrypted_report(user_password="", method=method)

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


# ── Partly readable documents ────────────────────────────────────────────────────────────────────────

WHOLE, HALF = b"BT /F1 12 Tf (whole) Tj ET", b"BT /F1 12 Tf (half) Tj ET <<<"


def gaps(output: ExtractOutput) -> list[tuple[int | None, str]]:
    return [(gap.page, gap.code) for gap in output.warnings]


def test_damaged_page_is_a_warning_and_costs_only_itself() -> None:
    output = read(raw_pdf.with_contents(WHOLE, HALF, WHOLE))

    assert [(page.page, page.text, page.word_count) for page in output.pages] == [(1, "whole", 1), (2, "", 0), (3, "whole", 1)]
    assert gaps(output) == [(2, "PAGE_DAMAGED")]
    assert output.warnings[0].message == "Page 2 is damaged or incomplete, and is left out."


@pytest.mark.parametrize("second", [b"97 0 R", b"null", b"42"], ids=repr)
def test_page_that_is_missing_keeps_its_number(second: bytes) -> None:
    document = raw_pdf.with_contents(WHOLE, WHOLE, WHOLE).replace(b"5 0 R 7 0 R", b"5 0 R " + second)

    output = read(document)

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert (2, "PAGE_DAMAGED") in gaps(output)


def test_page_tree_that_leads_back_to_itself_costs_one_page() -> None:
    output = read(raw_pdf.with_contents(WHOLE, WHOLE, WHOLE).replace(b"5 0 R 7 0 R", b"5 0 R 2 0 R"))

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert gaps(output) == [(2, "PAGE_DAMAGED")]


def test_page_whose_object_is_damaged_is_a_warning() -> None:
    document = raw_pdf.with_contents(WHOLE, WHOLE, WHOLE).replace(b"7 0 obj\n<<", b"7 0 obj\n)<")

    output = read(document)

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert gaps(output) == [(2, "PAGE_DAMAGED")]


def test_content_that_is_damaged_or_missing_is_a_warning() -> None:
    document = raw_pdf.with_contents(WHOLE, WHOLE, WHOLE)
    start = document.index(b"stream\n", document.index(b"8 0 obj")) + len(b"stream\n")
    damaged = document[:start] + b"\xff" * 4 + document[start + 4 :]

    assert gaps(read(damaged)) == [(2, "PAGE_INCOMPLETE")]
    assert gaps(read(document.replace(b"/Contents 8 0 R", b"/Contents 98 0 R"))) == [(2, "PAGE_INCOMPLETE")]


@pytest.mark.parametrize("damaged", [b"/MediaBox[a 0 595 842]", b"/MediaBox[0 0 595 84>"])
def test_page_whose_entries_are_cut_off_is_a_warning(damaged: bytes) -> None:
    before, second, after = (document := raw_pdf.with_contents(WHOLE, WHOLE, WHOLE)).partition(b"7 0 obj\n")
    assert document.count(second) == 1

    output = read(before + second + after.replace(b"/MediaBox[0 0 595 842]", damaged, 1))

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert gaps(output) == [(2, "PAGE_INCOMPLETE")]


def test_missing_font_is_a_warning_on_each_page() -> None:
    output = read(raw_pdf.with_contents(WHOLE, WHOLE, WHOLE).replace(b"/F1 3 0 R", b"/F1 93 0 R"))

    assert gaps(output) == [(page, "PAGE_INCOMPLETE") for page in (1, 2, 3)]


def test_document_that_is_read_completely_has_no_warnings() -> None:
    assert read(pdfs.report()).warnings == []


@pytest.mark.parametrize("lost", [7, 20, 60, 120], ids="{} bytes".format)
def test_document_without_its_end_is_read_with_a_warning(lost: int) -> None:
    whole = pdfs.report()

    output = read(whole[:-lost])

    assert gaps(output) == [(None, "DOCUMENT_CUT")]
    assert output.pages == read(whole).pages


def test_document_with_more_behind_its_end_is_whole() -> None:
    assert read(pdfs.report() + b"\n" + b"." * 5_000).warnings == []


def test_document_without_a_readable_page_fails() -> None:
    error = failure(raw_pdf.with_contents(HALF, HALF))

    assert (error.code, error.message.partition(".")[0]) == ("BROKEN_PDF", "The document is damaged or incomplete")


@OUT_OF_TIME
def test_page_that_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "SECONDS_PER_PAGE", 0.5)

    output = read(raw_pdf.with_contents(WHOLE, b"BT /F1 12 Tf " + b"(a)Tj\n" * 400_000 + b"ET", WHOLE))

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert gaps(output) == [(2, "PAGE_TOO_COMPLEX")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limit")
def test_page_that_takes_too_much_memory_is_left_out() -> None:
    # Each code stands for 256 characters: a gigabyte.
    table = b"1 begincodespacerange <00><FF> endcodespacerange 1 beginbfchar\n<01> <%b>\nendbfchar" % (b"0041" * 256)

    output = read(raw_pdf.with_contents(WHOLE, b"BT /F1 12 Tf (%b) Tj ET" % (b"\1" * 4_000_000), WHOLE, to_unicode=table))

    assert [page.text for page in output.pages] == ["whole", "", "whole"]
    assert gaps(output) == [(2, "PAGE_TOO_COMPLEX")]


@OUT_OF_TIME
def test_document_whose_pages_all_take_too_long_ends_early(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(document_extract, "SECONDS_PER_PAGE", 0.1)
    monkeypatch.setattr(document_extract, "SECONDS_OF_ALL_PAGES", 0.2)
    monkeypatch.setattr(document_extract, "SECONDS_MORE_PER_PAGE", 0)

    with pytest.raises(Fatal, match="The document is too complex"):
        run(raw_pdf.with_contents(*[b"BT /F1 12 Tf " + b"(a)Tj\n" * 100_000 + b"ET"] * 100))

    # Each page that is tried writes a line, up to 20.
    assert 1 <= len(lines_of_the_job(caplog)) < 10


def test_text_beyond_a_pages_limit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "MAX_PAGE_TEXT", 3)

    output = read(raw_pdf.with_contents(WHOLE, WHOLE))

    assert [page.text for page in output.pages] == ["who", "who"]
    assert gaps(output) == [(1, "PAGE_TOO_LONG"), (2, "PAGE_TOO_LONG")]


def test_text_beyond_the_documents_limit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "MAX_TEXT", 7)

    output = read(raw_pdf.with_contents(*[WHOLE] * 5))

    assert [page.text for page in output.pages] == ["whole", "wh", "", "", ""]
    assert gaps(output) == [(3, "PAGES_NOT_READ")]
    assert "more than 7 characters" in output.warnings[0].message


def test_pages_for_which_no_time_is_left_are_left_out() -> None:
    @dataclass
    class Late(FakeContext):
        def progress(self, percent: float, message: str | None = None) -> None:
            if message == "Reading page 3 of 5":
                self.remaining_seconds = document_extract.SECONDS_TO_END - 1

    output = ExtractOutput.model_validate_json(run(pdfs.report(), context=Late()))

    assert [bool(page.text) for page in output.pages] == [True, True, False, False, False]
    assert gaps(output) == [(3, "PAGES_NOT_READ")]


@OUT_OF_TIME
def test_processor_time_of_all_pages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "SECONDS_OF_ALL_PAGES", -1)
    monkeypatch.setattr(document_extract, "SECONDS_MORE_PER_PAGE", 0)

    output = read(raw_pdf.with_contents(*[WHOLE] * 3))

    assert [page.text for page in output.pages] == ["whole", "", ""]
    assert gaps(output) == [(2, "PAGES_NOT_READ")]


def test_page_that_is_listed_again_is_given_once() -> None:
    document = raw_pdf.with_contents(WHOLE, WHOLE).replace(b"5 0 R 7 0 R", b"5 0 R 5 0 R")

    output = read(document)

    assert [page.text for page in output.pages] == ["whole", ""]
    assert gaps(output) == [(2, "PAGE_REPEATED")]


def test_form_that_cannot_be_read_leaves_its_page_incomplete() -> None:
    form = raw_pdf.stream(HALF, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F1 3 0 R>>>>")

    output = read(raw_pdf.one_page(WHOLE + b" /X Do", resources=b"/XObject<</X 5 0 R>>", more=[form]))

    assert output.pages[0].text.strip() == "whole"
    assert gaps(output) == [(1, "PAGE_INCOMPLETE")]


@pytest.mark.parametrize("title", ["x" * 20_000, "ü" * 20_000])
def test_long_metadata_are_cut(title: str) -> None:
    output = read(raw_pdf.with_contents(WHOLE, title=title))

    assert output.metadata.title is not None
    assert len(output.metadata.title) == document_extract.MAX_METADATA_TEXT
    assert gaps(output) == [(None, "METADATA_CUT")]


@OUT_OF_TIME
def test_metadata_that_take_too_long_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    document = raw_pdf.with_contents(WHOLE, title="x" * 2_000_000)
    monkeypatch.setattr(document_extract, "SECONDS_FOR_METADATA", 0.05)

    output = read(document)

    assert (output.metadata.title, output.pages[0].text) == (None, "whole")
    assert gaps(output) == [(None, "METADATA_DAMAGED")]


@OUT_OF_TIME
def test_opening_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "SECONDS_TO_OPEN", 0.2)

    assert failure(b"%PDF-1.7\n%%EOF\n" + b"startxre\n" * 1_000_000).code == "PDF_TOO_COMPLEX"


# ── Form values and fonts ────────────────────────────────────────────────────────────────────────────

FIELD = b"<</Subtype/Widget/FT/Tx/T(Name)/V(Jane)>>"
TWO_BYTES = b"<</Type/Font/Subtype/Type0/BaseFont/Ryumin-Light/Encoding/Identity-H/DescendantFonts[<</Subtype/CIDFontType0>>]>>"


def test_form_values_follow_the_text_of_their_page() -> None:
    page = read(raw_pdf.one_page(WHOLE, page=b"/Annots[%b]" % FIELD)).pages[0]

    assert (page.text, page.word_count) == ("whole\nName: Jane", 3)


def test_value_that_cannot_be_read_costs_only_itself() -> None:
    output = read(raw_pdf.one_page(WHOLE, page=b"/Annots[5 0 R%b]" % FIELD, more=[b")"]))

    assert output.pages[0].text == "whole\nName: Jane"
    assert gaps(output) == [(1, "PAGE_INCOMPLETE")]


def test_text_in_a_font_without_a_map_is_marked_and_a_warning() -> None:
    content = b"BT /F2 12 Tf <034B034B> Tj /F1 12 Tf ( whole) Tj ET"

    output = read(raw_pdf.one_page(content, fonts=b"/F2 5 0 R", more=[TWO_BYTES]))

    assert output.pages[0].text == "\ufffd\ufffd whole"
    assert gaps(output) == [(1, "FONT_WITHOUT_MAP")]
    assert output.warnings[0].message.startswith("Page 1 has text in the font 'Ryumin-Light', whose codes have no map")


def test_font_of_a_form_is_checked() -> None:
    form = raw_pdf.stream(b"BT /F2 12 Tf <034B> Tj ET", b"/Subtype/Form/Resources<</Font<</F2 6 0 R>>>>")

    output = read(raw_pdf.one_page(WHOLE + b" /X Do", resources=b"/XObject<</X 5 0 R>>", more=[form, TWO_BYTES]))

    assert output.pages[0].text == "whole\n\ufffd"
    assert gaps(output) == [(1, "FONT_WITHOUT_MAP")]


def test_font_without_a_map_that_is_not_used_is_no_warning() -> None:
    output = read(raw_pdf.one_page(WHOLE, fonts=b"/F2 5 0 R", more=[TWO_BYTES]))

    assert (output.pages[0].text, output.warnings) == ("whole", [])


def test_damaged_object_that_a_page_does_not_use_costs_nothing() -> None:
    output = read(raw_pdf.one_page(WHOLE, resources=b"/XObject<</X 5 0 R>>", more=[b")"]))

    assert (output.pages[0].text, output.warnings) == ("whole", [])


# ── Limits of a document ─────────────────────────────────────────────────────────────────────────────


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


def test_reason_is_logged_as_an_exception_and_the_document_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    read(raw_pdf.with_contents(WHOLE, HALF))

    (record,) = lines_of_the_job(caplog)
    assert (record.levelname, record.getMessage()) == ("WARNING", "Page 2 is damaged or incomplete.")
    assert record.exc_info is not None
    assert record.exc_info[1] is not None
    assert type(record.exc_info[1]).__module__ == "pypdf.errors"


def test_reason_of_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    failure(pdfs.broken_report())

    assert [record.getMessage() for record in lines_of_the_job(caplog)] == ["The document is damaged or incomplete."]


def test_many_damaged_pages_are_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    read(raw_pdf.with_contents(WHOLE, *[HALF] * 30))

    assert len(lines_of_the_job(caplog)) == 20


def lines_of_the_job(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    # pytest also listens to loggers that no other handler sees.
    return [record for record in caplog.records if record.name == "asyncjobs.job"]


@pytest.mark.parametrize("configured", ["", "logging.basicConfig(level=logging.DEBUG)"])
def test_pypdf_logs_nothing_itself(configured: str) -> None:
    script = f"""
import logging, sys
{configured}
from asyncjobs.testing import FakeContext
from jobs.document_extract import ExtractInput, extract
logging.getLogger("asyncjobs").disabled = True
logging.getLogger("asyncjobs.job").disabled = True
extract(ExtractInput(key="k"), FakeContext(inputs={{"k": sys.stdin.buffer.read()}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=raw_pdf.with_contents(WHOLE, HALF).replace(b"%%EOF", b"%%EO"),
        capture_output=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert done.stderr == b""


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
