"""Make the PDFs that the tests and the samples need: `python -m local.samples.pdfs FOLDER` writes the samples."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import EncryptionMethod

HANDBOOK = Path(__file__).parents[2] / "layers" / "jobs" / "jobs" / "corpus"
MADE_AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PASSWORD = "open sesame"

REPORT_TITLE, REPORT_AUTHOR = "Asynchronous jobs, a short report", "The asyncjobs project"
REPORT_PAGES = 5


@functools.cache
def report() -> bytes:
    """Return the first chapters of the handbook, one per page."""
    return bytes(_report().output())


def encrypted_report(*, user_password: str = PASSWORD, method: EncryptionMethod = EncryptionMethod.AES_256) -> bytes:
    """Return the same report, encrypted as current programs do it. Without a user password, everybody may read it."""
    document = _report()
    document.set_encryption(owner_password="owner", user_password=user_password, encryption_method=method)
    return bytes(document.output())


def broken_report() -> bytes:
    """Return the first half of the same report, as an interrupted upload leaves it."""
    whole = report()
    return whole[: len(whole) // 2]


SAMPLES: dict[str, Callable[[], bytes]] = {"report.pdf": report, "broken.pdf": broken_report, "encrypted.pdf": encrypted_report}


def _report() -> FPDF:
    document = _document(REPORT_TITLE)
    for chapter in sorted(HANDBOOK.glob("*.md"))[:REPORT_PAGES]:
        heading, *paragraphs = [line for line in chapter.read_text(encoding="utf-8").splitlines() if line]
        document.add_page()
        document.set_font("Helvetica", style="B", size=16)
        _line(document, heading.removeprefix("# "))
        document.set_font("Helvetica", size=11)
        for paragraph in paragraphs:
            document.ln(3)
            document.multi_cell(0, 6, paragraph, align="L", new_x="LMARGIN", new_y="NEXT")
    return document


def _document(title: str) -> FPDF:
    document = FPDF()
    document.set_title(title)
    document.set_author(REPORT_AUTHOR)
    document.set_creation_date(MADE_AT)
    document.set_font("Helvetica", size=11)
    return document


def _line(document: FPDF, text: str) -> None:
    document.cell(0, 7, text, new_x="LMARGIN", new_y="NEXT")


def _write_samples(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in SAMPLES.items():
        (folder / name).write_bytes(make())


if __name__ == "__main__":
    _write_samples(Path(sys.argv[1]))
