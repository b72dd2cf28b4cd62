"""Where each table of a diagram is drawn. Pure: sizes in, places out, the same for the same schema.

A table stands to the right of the tables that it refers to, so that most arrows point to the left. Tables without foreign
keys follow below in rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GAP_X, GAP_Y = 70.0, 24.0
_SWEEPS = 4
_WIDE = 1.5
"""How much wider than high a drawing is about to be."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a table's box."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A table's place. `x` and `y` are those of its upper left corner; y grows downwards."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The places of all tables, and the size of the drawing around them."""

    boxes: Mapping[str, Box]
    width: float
    height: float


def laid_out(sizes: Mapping[str, Size], references: Iterable[tuple[str, str]]) -> Layout:
    """Place the tables. `references` are pairs of a table and one that it refers to; others than those of `sizes` are left out."""
    targets: defaultdict[str, set[str]] = defaultdict(set)
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in references:
        if source != target and source in sizes and target in sizes:
            targets[source].add(target)
            sources[target].add(source)
    joined = [name for name in sizes if targets[name] or sources[name]]
    alone = [name for name in sizes if not (targets[name] or sources[name])]
    highest = math.sqrt(sum(_area(sizes[name]) for name in sizes) / _WIDE)
    boxes = _place_columns(_layers(joined, targets), sizes, (targets, sources), highest)
    width = max((box.x + box.width for box in boxes.values()), default=0.0)
    _place_rows(alone, sizes, max(width, highest * _WIDE), boxes)
    return Layout(
        boxes,
        max((box.x + box.width for box in boxes.values()), default=0.0),
        max((box.y + box.height for box in boxes.values()), default=0.0),
    )


def _area(size: Size) -> float:
    return (size.width + GAP_X) * (size.height + GAP_Y)


def _layers(names: Sequence[str], targets: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the tables by their distance from those that refer to none. Of a cycle, one reference does not count."""
    depth: dict[str, int] = {}
    for name in names:
        _measure(name, targets, depth)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    return [layer for layer in layers if layer]


def _measure(name: str, targets: Mapping[str, set[str]], depth: dict[str, int]) -> None:
    """Note the depth of the table and of all tables that it leads to. Without recursion: a chain may be long."""
    open_: dict[str, list[str]] = {}
    stack = [name]
    while stack:
        current = stack[-1]
        if current in depth:
            stack.pop()
            continue
        if current not in open_:
            open_[current] = sorted(targets[current])
        left = open_[current]
        while left and (left[-1] in depth or left[-1] in open_):
            left.pop()
        if left:
            stack.append(left.pop())
        else:
            depth[current] = 1 + max((depth[each] for each in targets[current] if each in depth), default=-1)
            stack.pop()


def _place_columns(
    layers: Sequence[Sequence[str]],
    sizes: Mapping[str, Size],
    neighbors: tuple[Mapping[str, set[str]], Mapping[str, set[str]]],
    highest: float,
) -> dict[str, Box]:
    """Place each layer as a column, or several if it is too high, with neighbors at about the same height.

    `neighbors` are those that a table refers to, and those that refer to it: the sweeps follow one, then the other.
    """
    boxes: dict[str, Box] = {}
    order = {name: float(place) for layer in layers for place, name in enumerate(layer)}
    ordered = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        found = neighbors[sweep % 2]
        for layer in ordered if sweep % 2 == 0 else reversed(ordered):
            layer.sort(key=lambda name: (_middle(name, found, order), name))
            order.update({name: place / len(layer) for place, name in enumerate(layer)})
    x = 0.0
    for layer in ordered:
        for column in _columns(layer, sizes, highest):
            y = 0.0
            for name in column:
                size = sizes[name]
                boxes[name] = Box(x, y, size.width, size.height)
                y += size.height + GAP_Y
            x += max(sizes[name].width for name in column) + GAP_X
    return boxes


def _middle(name: str, neighbors: Mapping[str, set[str]], order: Mapping[str, float]) -> float:
    places = [order[each] for each in neighbors[name]]
    return sum(places) / len(places) if places else order[name]


def _columns(layer: Sequence[str], sizes: Mapping[str, Size], highest: float) -> Iterable[Sequence[str]]:
    total = sum(sizes[name].height + GAP_Y for name in layer)
    limit = total / max(1, math.ceil(total / max(highest, 1.0)))
    column: list[str] = []
    height = 0.0
    for name in layer:
        column.append(name)
        height += sizes[name].height + GAP_Y
        if height >= limit:
            yield column
            column, height = [], 0.0
    if column:
        yield column


def _place_rows(names: Sequence[str], sizes: Mapping[str, Size], width: float, boxes: dict[str, Box]) -> None:
    """Place the tables below all others, the highest first, so that those of a row have about the same height."""
    x, y = 0.0, max((box.y + box.height + GAP_Y * 2 for box in boxes.values()), default=0.0)
    row = 0.0
    for name in sorted(names, key=lambda name: (-sizes[name].height, name)):
        size = sizes[name]
        if x > 0 and x + size.width > width:
            x, y, row = 0.0, y + row + GAP_Y, 0.0
        boxes[name] = Box(x, y, size.width, size.height)
        x += size.width + GAP_X / 2
        row = max(row, size.height)
