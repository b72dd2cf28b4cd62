"""Draw a diagram of tables as a PDF of one page, as large as it needs to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pydyf  # type: ignore[import-untyped]  # it ships no types

from jobs.diagram_pdf_layout import Box, Layout, Size, laid_out

MARGIN = 36.0
TITLE = 40.0
LARGEST = 14_400.0
"""The largest side of a page, in points, that readers of PDF must show (ISO 32000-1, annex C)."""

_ROW, _HEAD, _PAD = 12.0, 18.0, 6.0
_MOST_ROWS = 30
_FONT, _BOLD = "F1", "F2"
_SIZE, _HEAD_SIZE, _TITLE_SIZE = 8.0, 9.0, 18.0
_WIDEST = 260.0
_INK, _GRAY, _LINE = (0.13, 0.15, 0.19), (0.42, 0.45, 0.50), (0.35, 0.45, 0.62)
_TABLE_HEAD, _VIEW_HEAD, _STRIPE, _BORDER = (0.18, 0.33, 0.55), (0.36, 0.46, 0.36), (0.95, 0.96, 0.98), (0.72, 0.76, 0.82)
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class File(Protocol):
    """Where the PDF goes."""

    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A column of a table: a mark (PK, FK), its name and its type."""

    mark: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view."""

    name: str
    is_view: bool
    rows: Sequence[Row]

    @property
    def shown(self) -> Sequence[Row]:
        """The rows that are drawn: the first ones, and how many are left out."""
        if len(self.rows) <= _MOST_ROWS:
            return self.rows
        return [*self.rows[: _MOST_ROWS - 1], Row("", f"and {len(self.rows) - _MOST_ROWS + 1} more", "")]


@dataclass(frozen=True, slots=True)
class Arrow:
    """A foreign key: from a column of a table to another table."""

    source: str
    column: str
    target: str


@dataclass(frozen=True)
class Diagram:
    """A diagram with its layout: what `draw` needs."""

    title: str
    tables: Sequence[Table]
    arrows: Sequence[Arrow]
    layout: Layout

    @classmethod
    def of(cls, title: str, tables: Sequence[Table], arrows: Sequence[Arrow]) -> Diagram:
        """Lay the diagram out."""
        sizes = {table.name: _size(table) for table in tables}
        return cls(title, tables, arrows, laid_out(sizes, [(arrow.source, arrow.target) for arrow in arrows]))

    @property
    def width(self) -> float:
        """The page's width in points."""
        return max(self.layout.width, width_of(self.title, _TITLE_SIZE)) + 2 * MARGIN

    @property
    def height(self) -> float:
        """The page's height in points."""
        return self.layout.height + 2 * MARGIN + TITLE


def draw(diagram: Diagram, file: File, report: Callable[[float], None]) -> None:
    """Write the PDF. `report` is called with the share that is done, from 0 to 1."""
    document = pydyf.PDF()
    fonts = [
        pydyf.Dictionary({"Type": "/Font", "Subtype": "/Type1", "BaseFont": name, "Encoding": "/WinAnsiEncoding"})
        for name in ("/Helvetica", "/Helvetica-Bold")
    ]
    for font in fonts:
        document.add_object(font)
    page = pydyf.Stream(compress=True)
    pen = _Pen(page, diagram.height)
    pen.text(MARGIN, MARGIN + _TITLE_SIZE, diagram.title, font=_BOLD, size=_TITLE_SIZE, color=_INK)
    pen.shift(MARGIN, MARGIN + TITLE)
    tables = {table.name: table for table in diagram.tables}
    for arrow in diagram.arrows:
        if arrow.target in tables and arrow.source in tables:
            _draw_arrow(pen, arrow, tables[arrow.source], diagram.layout.boxes)
    for number, table in enumerate(diagram.tables):
        report(number / len(diagram.tables))
        _draw_table(pen, table, diagram.layout.boxes[table.name])
    document.add_object(page)
    named = pydyf.Dictionary({_FONT: fonts[0].reference, _BOLD: fonts[1].reference})
    document.add_page(
        pydyf.Dictionary(
            {
                "Type": "/Page",
                "Parent": document.pages.reference,
                "MediaBox": pydyf.Array([0, 0, round(diagram.width, 2), round(diagram.height, 2)]),
                "Contents": page.reference,
                "Resources": pydyf.Dictionary({"Font": named}),
            }
        )
    )
    document.info["Title"] = pydyf.String(diagram.title)
    document.write(file)


def is_drawable(text: str) -> bool:
    """Return whether the fonts that every reader of PDF has can show the text."""
    return _drawable(text) == text


# ── Tables ─────────────────────────────────────────────────────────────────────────────────────────


def _size(table: Table) -> Size:
    rows = [width_of(row.name, _SIZE) + width_of(row.type, _SIZE) + 34 for row in table.shown]
    width = max([90.0, width_of(table.name, _HEAD_SIZE), *rows]) + 2 * _PAD
    return Size(min(width, _WIDEST), _HEAD + _ROW * max(len(table.shown), 1) + 2)


def _draw_table(pen: _Pen, table: Table, box: Box) -> None:
    pen.rectangle(box.x, box.y, box.width, box.height, fill=(1, 1, 1))
    pen.rectangle(box.x, box.y, box.width, _HEAD, fill=_VIEW_HEAD if table.is_view else _TABLE_HEAD)
    room = box.width - 2 * _PAD
    name = fitted(table.name, _HEAD_SIZE, room)
    pen.text(box.x + _PAD, box.y + 12.5, name, font=_BOLD, size=_HEAD_SIZE, color=(1, 1, 1))
    for number, row in enumerate(table.shown):
        y = box.y + _HEAD + number * _ROW
        if number % 2:
            pen.rectangle(box.x, y, box.width, _ROW, fill=_STRIPE)
        pen.text(box.x + _PAD, y + 9, row.mark, font=_BOLD, size=6, color=_LINE)
        type_ = fitted(row.type, _SIZE, max(room / 2, room - 28 - width_of(row.name, _SIZE)))
        left = room - 22 - width_of(type_, _SIZE) - 6
        pen.text(box.x + _PAD + 22, y + 9, fitted(row.name, _SIZE, left), font=_FONT, size=_SIZE, color=_INK)
        pen.text(box.x + box.width - _PAD - width_of(type_, _SIZE), y + 9, type_, font=_FONT, size=_SIZE, color=_GRAY)
    pen.rectangle(box.x, box.y, box.width, box.height, stroke=_BORDER)


def _draw_arrow(pen: _Pen, arrow: Arrow, table: Table, boxes: Mapping[str, Box]) -> None:
    source, target = boxes[arrow.source], boxes[arrow.target]
    places = [place for place, row in enumerate(table.shown) if row.name == arrow.column]
    y1 = source.y + _HEAD + _ROW * ((places[0] if places else len(table.shown) - 1) + 0.5)
    y2 = target.y + _HEAD / 2
    if source == target:
        x1, x2, bend = source.x + source.width, target.x + target.width, 36.0
        pen.curve((x1, y1), (x1 + bend, y1), (x2 + bend, y2), (x2, y2), color=_LINE)
        pen.head(x2, y2, leftwards=True, color=_LINE)
        return
    is_left = target.x + target.width <= source.x
    is_right = target.x >= source.x + source.width
    x1 = source.x if is_left or not is_right else source.x + source.width
    x2 = target.x if is_right else target.x + target.width
    if not is_left and not is_right:  # in the same column
        x2 = target.x
    bend = max(30.0, abs(x2 - x1) / 2)
    out = -bend if x1 == source.x else bend
    into = -bend if x2 == target.x else bend
    pen.curve((x1, y1), (x1 + out, y1), (x2 + into, y2), (x2, y2), color=_LINE)
    pen.head(x2, y2, leftwards=x2 != target.x, color=_LINE)


# ── Text and lines ─────────────────────────────────────────────────────────────────────────────────

_NARROW, _BROAD = set("iIjl.,:;'|!()[]{} ftr/\\-"), set("mMwW@%")


def width_of(text: str, size: float) -> float:
    """Return about how wide the text is in Helvetica: rather too much."""
    units = (
        0.34 if each in _NARROW else 0.92 if each in _BROAD else 0.70 if each.isupper() else 0.56 for each in _drawable(text)
    )
    return size * sum(units)


def fitted(text: str, size: float, room: float) -> str:
    """Return the text, or its beginning with an ellipsis."""
    room += 0.01  # what another text leaves is a difference of rounded numbers
    if width_of(text, size) <= room:
        return text
    while text and width_of(text + _ELLIPSIS, size) > room:
        text = text[:-1]
    return text + _ELLIPSIS


def _drawable(text: str) -> str:
    """Return the text with the number of each character that the fonts lack: names stay distinct."""
    return text.encode("cp1252", "backslashreplace").decode("cp1252")


Point = tuple[float, float]
Color = tuple[float, float, float]


class _Pen:
    """Draws on a page with y growing downwards."""

    def __init__(self, page: pydyf.Stream, height: float) -> None:
        self._page = page
        self._height = height
        self._x = self._y = 0.0

    def shift(self, x: float, y: float) -> None:
        self._x, self._y = x, y

    def rectangle(
        self, x: float, y: float, width: float, height: float, *, fill: Color | None = None, stroke: Color | None = None
    ) -> None:
        if fill is not None:
            self._page.set_color_rgb(*fill)
        if stroke is not None:
            self._page.set_color_rgb(*stroke, stroke=True)
            self._page.set_line_width(0.7)
        left, bottom = self._at((x, y + height))
        self._page.rectangle(left, bottom, round(width, 2), round(height, 2))
        if fill is not None:
            self._page.fill()
        else:
            self._page.stroke()

    def text(self, x: float, y: float, text: str, *, font: str, size: float, color: Color) -> None:
        if not text:
            return
        self._page.begin_text()
        self._page.set_font_size(font, size)
        self._page.set_color_rgb(*color)
        self._page.set_text_matrix(1, 0, 0, 1, *self._at((x, y)))
        self._page.show_text(pydyf.String(_drawable(text).encode("cp1252")))
        self._page.end_text()

    def curve(self, begin: Point, first: Point, second: Point, end: Point, *, color: Color) -> None:
        self._page.set_color_rgb(*color, stroke=True)
        self._page.set_line_width(0.9)
        self._page.move_to(*self._at(begin))
        self._page.curve_to(*self._at(first), *self._at(second), *self._at(end))
        self._page.stroke()

    def head(self, x: float, y: float, *, leftwards: bool, color: Color) -> None:
        """Draw the head of an arrow that ends here."""
        back = 6.0 if leftwards else -6.0
        self._page.set_color_rgb(*color)
        self._page.move_to(*self._at((x, y)))
        self._page.line_to(*self._at((x + back, y - 3)))
        self._page.line_to(*self._at((x + back, y + 3)))
        self._page.close()
        self._page.fill()

    def _at(self, point: Point) -> Point:
        return round(self._x + point[0], 2), round(self._height - self._y - point[1], 2)
