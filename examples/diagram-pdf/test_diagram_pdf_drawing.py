"""The drawing is a PDF that other programs read, with each name in it."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from jobs.diagram_pdf_drawing import Arrow, Diagram, Row, Table, draw, fitted, is_drawable, width_of


def drawn(*tables: Table, arrows: tuple[Arrow, ...] = (), title: str = "Shop") -> PdfReader:
    file = BytesIO()
    draw(Diagram.of(title, tables, arrows), file, lambda _: None)
    return PdfReader(file, strict=True)


def text_of(reader: PdfReader) -> list[str]:
    return reader.pages[0].extract_text().split("\n")


CUSTOMERS = Table("customers", is_view=False, rows=[Row("PK", "id", "int(11)"), Row("", "name", "varchar(40)")])
ORDERS = Table("orders", is_view=False, rows=[Row("PK", "id", "int(11)"), Row("FK", "customer", "int(11)")])


def test_tables_columns_types_and_marks_are_in_the_pdf() -> None:
    text = text_of(drawn(CUSTOMERS, ORDERS, arrows=(Arrow("orders", "customer", "customers"),)))
    assert {"Shop", "customers", "orders", "name", "varchar(40)", "customer", "PK", "FK"} <= {
        word for line in text for word in line.split()
    }


def test_title_is_in_the_documents_metadata() -> None:
    metadata = drawn(title="My (own) sch\u00e9ma").metadata
    assert metadata is not None
    assert metadata.title == "My (own) sch\u00e9ma"


def test_names_of_columns_are_whole_beside_long_types() -> None:
    names = [f"{'n' * length}{kind}" for length in range(1, 14) for kind in ("", "_1", "l")]
    rows = [Row("", name, f"enum('a','b','{'c' * 60}')") for name in names]
    for start in range(0, len(rows), 20):
        shown = " ".join(text_of(drawn(Table("one", is_view=False, rows=rows[start : start + 20])))).split()
        assert set(names[start : start + 20]) <= set(shown)


@pytest.mark.parametrize("name", ["a(b", "a\\b", "<b>", "per%cent", "Stra\u00dfe", "\u20ac"])
def test_odd_names_are_drawn_as_they_are(name: str) -> None:
    assert name in "\n".join(text_of(drawn(Table(name, is_view=True, rows=[]))))
    assert is_drawable(name)


def test_characters_that_the_fonts_lack_are_drawn_as_their_numbers() -> None:
    assert "\\u9867" in "\n".join(text_of(drawn(Table("\u9867", is_view=False, rows=[]))))
    assert not is_drawable("\u9867")


def test_arrow_to_a_table_that_is_missing_is_left_out() -> None:
    assert text_of(drawn(ORDERS, arrows=(Arrow("orders", "customer", "elsewhere.customers"),)))


def test_table_of_many_columns_shows_how_many_are_left_out() -> None:
    rows = [Row("", f"c{number}", "int") for number in range(100)]
    text = "\n".join(text_of(drawn(Table("wide", is_view=False, rows=rows))))
    assert "c28" in text
    assert "c29" not in text
    assert "and 71 more" in text


def test_report_goes_up_to_one() -> None:
    shares: list[float] = []
    draw(Diagram.of("Shop", [CUSTOMERS, ORDERS], []), BytesIO(), shares.append)
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares)


@given(st.text(max_size=60), st.floats(20, 200))
def test_fitted_text_fits(text: str, room: float) -> None:
    found = fitted(text, 8, room)
    assert found == text or width_of(found, 8) <= max(room + 0.01, width_of("\u2026", 8))
