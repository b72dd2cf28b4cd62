"""Tables are placed so that none covers another, whatever refers to what."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.diagram_pdf_layout import Box, Layout, Size, laid_out

NAMES = [f"t{number}" for number in range(12)]
SIZE = Size(100, 60)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def plain(*references: tuple[str, str], count: int = 4) -> Layout:
    return laid_out(dict.fromkeys(NAMES[:count], SIZE), references)


@given(
    st.dictionaries(st.sampled_from(NAMES), st.builds(Size, st.floats(20, 300), st.floats(20, 400))),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=30),
)
def test_no_table_covers_another_and_all_are_on_the_page(sizes: dict[str, Size], references: list[tuple[str, str]]) -> None:
    layout = laid_out(sizes, references)
    assert layout.boxes.keys() == sizes.keys()
    assert not any(overlap(one, other) for one, other in combinations(layout.boxes.values(), 2))
    assert all(box.x >= 0 and box.x + box.width <= layout.width for box in layout.boxes.values())
    assert all(box.y >= 0 and box.y + box.height <= layout.height for box in layout.boxes.values())


def test_table_is_to_the_right_of_those_that_it_refers_to() -> None:
    boxes = plain(("t1", "t0"), ("t2", "t1"), ("t2", "t0")).boxes
    assert boxes["t0"].x < boxes["t1"].x < boxes["t2"].x
    assert boxes["t3"].y > max(boxes[name].y for name in ("t0", "t1", "t2")), "it refers to none"


def test_cycle_and_reference_to_itself_end() -> None:
    boxes = plain(("t0", "t1"), ("t1", "t2"), ("t2", "t0"), ("t0", "t0")).boxes
    assert len({boxes[name].x for name in ("t0", "t1", "t2")}) == 3


def test_long_chain_needs_no_recursion() -> None:
    names = [f"t{number}" for number in range(3000)]
    layout = laid_out(dict.fromkeys(names, SIZE), list(zip(names[1:], names, strict=False)))
    assert len({box.x for box in layout.boxes.values()}) == 3000


def test_layer_of_many_tables_takes_several_columns() -> None:
    names = [f"t{number}" for number in range(200)]
    layout = laid_out(dict.fromkeys(["hub", *names], SIZE), [(name, "hub") for name in names])
    assert len({box.x for box in layout.boxes.values()}) > 3
    assert 0.4 < layout.width / layout.height < 4


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_table_are_placed(count: int) -> None:
    layout = plain(count=count)
    assert (len(layout.boxes), layout.width, layout.height) == (count, count * 100, count * 60)


def test_same_schema_has_the_same_layout() -> None:
    references = [("t1", "t0"), ("t2", "t0"), ("t3", "t1")]
    assert plain(*references) == plain(*reversed(references))
