"""Makes the PDFs that the tests and the samples need. `python -m local.samples.pdfs` writes the samples."""

from __future__ import annotations

import functools
import random
import sys
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
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
    """The first chapters of the handbook, one a page."""
    return bytes(_report().output())


def encrypted_report(*, user_password: str = PASSWORD, method: EncryptionMethod = EncryptionMethod.AES_256) -> bytes:
    """The same report, encrypted the way current programs do it. With no user password everybody may read it."""
    document = _report()
    document.set_encryption(owner_password="owner", user_password=user_password, encryption_method=method)
    return bytes(document.output())


def broken_report() -> bytes:
    """The same report, as an upload leaves it that stopped halfway."""
    whole = report()
    return whole[: len(whole) // 2]


def long_report(pages: int = 320) -> bytes:
    """A harbour's log book of as many pages, no two alike."""
    document = _document("Log book of the harbour office")
    dice = random.Random(1805)  # the same book every time
    for day in range(pages):
        date = MADE_AT.date() + timedelta(days=day)
        document.add_page()
        _line(document, f"Day {day + 1}, {date:%A %d %B %Y}")
        for _ in range(36):
            _line(
                document,
                f"{dice.randrange(24):02}:{dice.randrange(60):02}  The {dice.choice(_KINDS)} {dice.choice(_NAMES)} "
                f"{dice.choice(_MOVES)} with {dice.randrange(2, 400)} {dice.choice(_CARGO)}, dues {dice.choice(_DUES)}.",
            )
    return bytes(document.output())


def with_contents(*contents: bytes, to_unicode: bytes = b"") -> bytes:
    """A page for each content stream, whatever it holds: what no writer of PDFs would make.

    The pages' one font is `/F1`; `to_unicode` is its table from bytes to characters.
    """
    first = 5  # the first page's object; each is followed by its content
    pages = range(first, first + 2 * len(contents), 2)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (b" ".join(b"%d 0 R" % page for page in pages), len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica%b>>" % (b"/ToUnicode 4 0 R" if to_unicode else b""),
        _stream(to_unicode),
    ]
    for page, content in zip(pages, contents, strict=True):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % (page + 1),
            _stream(content),
        ]
    return by_hand(objects)


def by_hand(objects: Sequence[bytes], *, trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    document, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return document + b"xref\n0 %d\n0000000000 65535 f \n%btrailer<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        trailer,
        len(document),
    )


SAMPLES: dict[str, Callable[[], bytes]] = {"report.pdf": report, "broken.pdf": broken_report, "encrypted.pdf": encrypted_report}

_KINDS = ("brig", "schooner", "cutter", "ketch", "collier", "mail packet")
_NAMES = ("Constance", "Patience", "Morning Star", "Two Brothers", "Good Intent", "Heron", "Alma", "Providence")
_MOVES = ("came in", "put to sea", "shifted to the north quay", "lay at anchor")
_CARGO = ("barrels of herring", "tons of coal", "bales of wool", "loads of timber", "sacks of salt", "casks of oil")
_DUES = ("paid", "owed", "waived by the harbour master")


def _stream(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed)


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
