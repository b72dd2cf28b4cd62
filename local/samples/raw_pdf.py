"""Write PDFs object by object, with nothing installed: `make run` needs a long one, and the tests need broken ones."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from datetime import date, timedelta

_KINDS = ("brig", "schooner", "cutter", "ketch", "collier", "mail packet")
_NAMES = ("Constance", "Patience", "Morning Star", "Two Brothers", "Good Intent", "Heron", "Alma", "Providence")
_MOVES = ("came in", "put to sea", "shifted to the north quay", "lay at anchor")
_CARGO = ("barrels of herring", "tons of coal", "bales of wool", "loads of timber", "sacks of salt", "casks of oil")
_DUES = ("paid", "owed", "waived by the harbour master")
_FIRST_DAY = date(2026, 11, 21)


def long_report(pages: int = 320) -> bytes:
    """Return a harbor's log book with this many pages, all different and the same in each call."""
    dice = random.Random(1805)
    return with_contents(*[_page(day, dice) for day in range(pages)], title="Log book of the harbor office")


def _page(day: int, dice: random.Random) -> bytes:
    lines = [
        f"{dice.randrange(24):02}:{dice.randrange(60):02}  The {dice.choice(_KINDS)} {dice.choice(_NAMES)} {dice.choice(_MOVES)}"
        f" with {dice.randrange(2, 400)} {dice.choice(_CARGO)}, dues {dice.choice(_DUES)}."
        for _ in range(36)
    ]
    heading = f"Day {day + 1}, {_FIRST_DAY + timedelta(days=day):%A %d %B %Y}"
    return f"BT /F1 11 Tf 20 TL 28 800 Td {' '.join(f'({line}) Tj T*' for line in (heading, *lines))} ET".encode()


def with_contents(*contents: bytes, to_unicode: bytes = b"", title: str = "") -> bytes:
    """Return a PDF with one page per content stream. A stream may hold anything, also what no PDF writer would make.

    The only font is `/F1`; `to_unicode` is its table from bytes to characters.
    """
    first = 5  # the first page's object; each is followed by its content
    pages = range(first, first + 2 * len(contents), 2)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (b" ".join(b"%d 0 R" % page for page in pages), len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica%b>>" % (b"/ToUnicode 4 0 R" if to_unicode else b""),
        stream(to_unicode),
    ]
    for page, content in zip(pages, contents, strict=True):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % (page + 1),
            stream(content),
        ]
    objects.append(b"<</Title(%b)>>" % title.encode())
    return by_hand(objects, trailer=b"/Info %d 0 R" % len(objects))


def one_page(
    content: bytes, *, page: bytes = b"", fonts: bytes = b"", resources: bytes = b"", more: Sequence[bytes] = ()
) -> bytes:
    """Return a PDF with one page, to whose dictionaries these entries are added. `more` are objects, numbered from 5."""
    described = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 3 0 R%b>>%b>>%b>>"
    return by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (5 + len(more)),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            stream(content),
            *more,
            described % (fonts, resources, page),
        ]
    )


def by_hand(objects: Sequence[bytes], *, trailer: bytes = b"") -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is the catalog."""
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


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object with this content, compressed."""
    packed = zlib.compress(content, 9)
    return b"<<%b/Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (entries, len(packed), packed)
