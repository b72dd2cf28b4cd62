"""Each route and each event source of the template has a sample event, from which `make invoke` finds the function."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from asyncjobs.codegen.openapi import OPERATIONS, name_of
from asyncjobs.jobtypes.catalog import Catalog
from local.invoke import function_of, functions_by_kind, kind_of
from tests.support.events import FOLDER, sample
from tests.template.source import template

ROUTES_OF_JOB_TYPES = [route.split() for type_ in Catalog.read() for route in (*type_.routes, *type_.synchronous_routes)]
EVENTS = sorted(file.stem for file in FOLDER.glob("*.json"))
SOURCES = functions_by_kind(template()["Resources"])


def function_with(event: dict[str, Any]) -> str:
    return function_of(event, template()["Resources"])


def test_each_route_and_source_has_one_event() -> None:
    # The event of HEAD is that of GET but for its method. Job types may have routes of their own without one.
    kinds = Counter(kind_of(sample(name)) for name in EVENTS)
    own = {f"{method} /api/v1{path}" for method, path in ROUTES_OF_JOB_TYPES} - kinds.keys()
    assert kinds == dict.fromkeys((kind for kind in SOURCES if not kind.startswith("HEAD ") and kind not in own), 1)


@pytest.mark.parametrize("name", EVENTS)
def test_function_of_an_event_is_the_one_with_its_source(name: str) -> None:
    assert function_with(sample(name)) == SOURCES[kind_of(sample(name))]


@pytest.mark.parametrize("name", [name for name in EVENTS if "routeKey" in sample(name)])
def test_http_event_names_its_route_everywhere(name: str) -> None:
    event = sample(name)
    method, path = event["routeKey"].split()
    assert event["requestContext"]["routeKey"] == event["routeKey"]
    assert event["requestContext"]["http"]["method"] == method
    assert (
        event["requestContext"]["http"]["path"]
        == event["rawPath"]
        == path.replace("+}", "}").format(**event.get("pathParameters", {}))
    )
    assert int(event["headers"].get("content-length", 0)) == len(event.get("body", ""))


def test_readme_lists_every_event_but_those_that_are_made() -> None:
    text = (FOLDER / "README.md").read_text()
    made = {name_of(operation).lower() for operation in OPERATIONS}
    assert [name for name in EVENTS if f"`{name}.json`" not in text and name.replace("-", "") not in made] == []
