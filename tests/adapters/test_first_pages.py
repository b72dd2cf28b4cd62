"""The first page of each view reads a few hundred entries and items, however many jobs there are, and scans nothing.

`bench/administration.py` measures the same with 100,000 jobs.
"""

from __future__ import annotations

import pytest

from bench.administration import VIEWS, View, World, price_of, reads_in_an_hour

MOST_ENTRIES, MOST_ITEMS = 600, 500
AN_HOUR_USD = 0.02


@pytest.fixture(scope="module", params=[2_000, 6_000])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_first_page_reads_a_few_hundred_entries_of_any_number_of_jobs(world: World, view: View) -> None:
    reads = [world.ask(route, **query) for route, query in view.requests]
    assert sum(each.calls for each in reads) > 0
    assert sum(each.entries for each in reads) <= MOST_ENTRIES
    assert sum(each.items for each in reads) <= MOST_ITEMS
    assert price_of(view, reads) * reads_in_an_hour(view) <= AN_HOUR_USD
