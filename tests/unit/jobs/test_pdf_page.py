"""Form values, and fonts whose codes have no map to characters."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import pytest
from pypdf import PageObject, PdfReader

from jobs.pdf_page import DAMAGED, filled_in, has_cut_streams, replace_damaged_pages, unreadable_fonts
from local.samples import raw_pdf


class Noted:
    """Notes of no repair."""

    left_something_out = False


def page_of(document: bytes) -> PageObject:
    return PdfReader(BytesIO(document)).pages[0]


# ── Form values ──────────────────────────────────────────────────────────────────────────────────────

YES_NO = b"/FT/Btn/AP<</N<</Yes 4 0 R/Off 4 0 R>>>>"
TEXT = b"/FT/Tx/T(Name)"


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (TEXT + b"/V(Jane)", "Name: Jane"),
        (b"/FT/Tx/V(Jane)", "Jane"),
        (TEXT + b"/TU(Your name)/V(Jane)", "Your name: Jane"),
        (TEXT + b"/V<FEFF004A00FC0072>", "Name: Jür"),
        (TEXT + b"/V(one\\rtwo)", "Name: one\ntwo"),
        (TEXT + b"/V 42", "Name: 42"),
        (TEXT + b"/V 6 0 R", "Name: from a stream"),
        (TEXT, ""),
        (TEXT + b"/V()", ""),
        (TEXT + b"/V null", ""),
        (TEXT + b"/V(hidden)/F 2", ""),
        (TEXT + b"/V(a password)/Ff 8192", ""),
        (b"/Parent<</T(Address)/FT/Tx/V(Rome)>>/T(City)", "Address.City: Rome"),
        (b"/FT/Ch/T(Color)/Opt[(red)(blue)]/V(blue)", "Color: blue"),
        (b"/FT/Ch/T(Color)/Opt[[(r)(Red)][(b)(Blue)]]/V(b)", "Color: Blue"),
        (b"/FT/Ch/T(Color)/Opt[[(r)(Red)][(b)(Blue)]]/V[(r)(b)]", "Color: Red, Blue"),
        (YES_NO + b"/T(Agreed)/V/Yes/AS/Yes", "Agreed: Yes"),
        (YES_NO + b"/T(Agreed)/V/Off/AS/Off", ""),
        (YES_NO + b"/T(Agreed)", ""),
        (YES_NO + b"/T(Agreed)/V/Yes", "Agreed: Yes"),
        (b"/FT/Btn/Ff 32768/T(Size)/Opt[(Small)(Large)]/AS/1", "Size: Large"),
        (b"/FT/Btn/Ff 65536/T(Print)/V(x)", ""),
        (b"/FT/Sig/T(Signed)/V<</Type/Sig>>", ""),
    ],
    ids=ascii,
)
def test_filled_in_field_is_a_line(field: bytes, line: str) -> None:
    objects = [b"<</Subtype/Widget%b>>" % field, raw_pdf.stream(b"from a stream")]

    assert filled_in(page_of(raw_pdf.one_page(b"", page=b"/Annots[5 0 R]", more=objects))) == ([line] if line else [], True)


def test_field_in_several_places_is_given_once_and_typed_text_is_text() -> None:
    widgets = b"/Annots[%b%b]" % (b"<</Subtype/Widget%b/V(Jane)>>" % TEXT * 2, b"<</Subtype/FreeText/Contents(Typed on top)>>")

    assert filled_in(page_of(raw_pdf.one_page(b"", page=widgets))) == (["Name: Jane", "Typed on top"], True)


def test_damaged_field_is_reported() -> None:
    widgets = b"/Annots[5 0 R<</Subtype/Widget%b/V(Jane)>>]" % TEXT

    assert filled_in(page_of(raw_pdf.one_page(b"", page=widgets, more=[b")"]))) == (["Name: Jane"], False)


@pytest.mark.parametrize("annotations", [b"/Annots 7", b"/Annots[null 7 99 0 R]", b"/Annots[<</Subtype/Widget/Parent 5 0 R>>]"])
def test_odd_annotations_have_no_values(annotations: bytes) -> None:
    assert filled_in(page_of(raw_pdf.one_page(b"", page=annotations, more=[b"<</Parent 5 0 R>>"]))) == ([], True)


# ── Fonts without a map ──────────────────────────────────────────────────────────────────────────────

TWO_BYTES = b"/Type/Font/Subtype/Type0/BaseFont/Ryumin-Light/DescendantFonts[<</Subtype/CIDFontType0>>]"
MAP = b"1 begincodespacerange <0000><FFFF> endcodespacerange 1 beginbfchar\n<034B> <3042>\nendbfchar"
EMPTY_MAP = b"begincmap endcmap"


def unreadable(font: bytes, to_unicode: bytes = MAP) -> list[str]:
    objects = [b"<<%b>>" % font, raw_pdf.stream(to_unicode)]
    return list(unreadable_fonts(page_of(raw_pdf.one_page(b"", fonts=b"/F2 5 0 R", more=objects))).values())


@pytest.mark.parametrize(
    ("font", "name"),
    [
        pytest.param(TWO_BYTES + b"/Encoding/Identity-H", "Ryumin-Light", id="numbers of glyphs"),
        pytest.param(TWO_BYTES + b"/Encoding/EUC-H", "Ryumin-Light", id="a character set that pypdf does not know"),
        pytest.param(TWO_BYTES + b"/Encoding 6 0 R", "Ryumin-Light", id="an encoding of its own"),
        pytest.param(TWO_BYTES, "Ryumin-Light", id="no encoding"),
        pytest.param(TWO_BYTES + b"/Encoding/Identity-H/ToUnicode 6 0 R", "Ryumin-Light", id="an empty map"),
        pytest.param(b"/Type/Font/Subtype/Type3/Encoding<</Differences[3/g1/g2]>>", "", id="glyphs without names"),
    ],
)
def test_font_without_a_map_is_unreadable(font: bytes, name: str) -> None:
    assert unreadable(font, EMPTY_MAP) == [name]


@pytest.mark.parametrize(
    "font",
    [
        pytest.param(TWO_BYTES + b"/Encoding/Identity-H/ToUnicode 6 0 R", id="a map"),
        pytest.param(TWO_BYTES + b"/Encoding/Identity-H/ToUnicode/Identity-H", id="codes that are Unicode"),
        pytest.param(TWO_BYTES + b"/Encoding/UniJIS-UTF16-H", id="Unicode"),
        pytest.param(TWO_BYTES + b"/Encoding/UniJIS-UCS2-H", id="older Unicode"),
        pytest.param(TWO_BYTES + b"/Encoding/90ms-RKSJ-H", id="Shift JIS"),
        pytest.param(b"/Type/Font/Subtype/Type1/Encoding<</Differences[3/eacute]>>", id="names"),
        pytest.param(b"/Type/Font/Subtype/Type1/Encoding<</Differences[3/uni3042]>>", id="Unicode in names"),
        pytest.param(b"/Type/Font/Subtype/Type1/Encoding/WinAnsiEncoding", id="a named encoding"),
        pytest.param(b"/Type/Font/Subtype/Type1", id="no encoding"),
    ],
)
def test_font_with_a_map_is_readable(font: bytes) -> None:
    assert unreadable(font) == []


def test_name_of_a_font_is_short_and_printable() -> None:
    assert unreadable(b"/Subtype/Type0/BaseFont/" + b"a#1bb" + b"c" * 100) == ["ab" + "c" * 58]


def test_fonts_of_nested_forms_are_found() -> None:
    form = b"<</Subtype/Form/Resources<</XObject<</X 6 0 R>>>>>>"
    inner = b"<</Subtype/Form/Resources<</Font<</F2 7 0 R>>/XObject<</X 5 0 R>>>>>>"
    document = raw_pdf.one_page(b"", resources=b"/XObject<</X 5 0 R>>", more=[form, inner, b"<<%b>>" % TWO_BYTES])

    assert list(unreadable_fonts(page_of(document)).values()) == ["Ryumin-Light"]


# ── Damaged pages ────────────────────────────────────────────────────────────────────────────────────


def test_damaged_pages_are_replaced_at_every_level() -> None:
    tree = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R 5 0 R 9 0 R]/Count 3>>",
        b"<</Type/Pages/Kids[4 0 R 6 0 R 2 0 R]/Count 1>>",
        b"<</Type/Page/Parent 3 0 R>>",
        b")",
        b"null",
    ]
    catalog: Any = PdfReader(BytesIO(raw_pdf.by_hand(tree))).root_object

    replace_damaged_pages(catalog, Noted())

    kids = catalog["/Pages"]["/Kids"]
    assert [DAMAGED in child for child in kids] == [False, True, True]
    assert [DAMAGED in child for child in kids[0]["/Kids"]] == [False, True, True]  # the last one leads back to the root


@pytest.mark.parametrize("catalog", [b"<</Type/Catalog>>", b"<</Type/Catalog/Pages 7>>", b"<</Type/Catalog/Pages<</Kids 7>>>>"])
def test_catalog_without_pages_is_left_alone(catalog: bytes) -> None:
    replace_damaged_pages(PdfReader(BytesIO(raw_pdf.by_hand([catalog]))).root_object, Noted())


# ── Streams that are cut off ─────────────────────────────────────────────────────────────────────────

LINES = b"".join(b"BT /F1 12 Tf (Line %d of %d) Tj ET\n" % (line, line * line) for line in range(200))
PACKED = zlib.compress(LINES)
FORM = b"/Subtype/Form/Resources<</XObject<</Inner 5 0 R>>>>"


def packed(data: bytes, filters: bytes = b"/FlateDecode", entries: bytes = b"") -> bytes:
    return b"<<%b/Filter%b/Length %d>>stream\n%b\nendstream" % (entries, filters, len(data), data)


@pytest.mark.parametrize(
    ("stream", "is_cut"),
    [
        (packed(PACKED), False),
        (packed(PACKED[:-4]), False),  # its checksum is missing, and nothing of its text
        (packed(PACKED + b"\r"), False),
        (packed(zlib.compress(bytes(1_000_001))[:-4]), False),  # all of it is read before all of its text
        (packed(PACKED[:300]), True),
        (packed(PACKED[:300], b"[/FlateDecode]"), True),
        (packed(PACKED[:300].hex().encode() + b">", b"[/ASCIIHexDecode/FlateDecode]"), False),  # not looked into
        (packed(LINES, b"[]"), False),
        (packed(b""), False),
        (b"<</Length 3>>", False),
    ],
    ids=str,
)
def test_stream_is_cut_when_its_compressed_data_have_no_end(stream: bytes, is_cut: bool) -> None:
    page = b"<</Type/Page/Parent 2 0 R/Contents%b>>"
    for contents in (b" 4 0 R", b"[5 0 R 4 0 R]"):
        document = raw_pdf.by_hand(
            [
                b"<</Type/Catalog/Pages 2 0 R>>",
                b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                page % contents,
                stream,
                raw_pdf.stream(LINES),
            ]
        )
        assert has_cut_streams(page_of(document)) is is_cut


@pytest.mark.parametrize("end", [300, len(PACKED)])
def test_form_that_is_cut_is_found(end: int) -> None:
    form = packed(PACKED[:end], entries=FORM)
    document = raw_pdf.one_page(b"/Outer Do", resources=b"/XObject<</Outer 6 0 R>>", more=[form, raw_pdf.stream(b"", FORM)])
    assert has_cut_streams(page_of(document)) is (end == 300)
