"""Each route and each event source of the template has a sample event, from which `make invoke` finds the function."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from local.invoke import function_of, functions_by_kind, kind_of
from tests.support.events import FOLDER, sample
from tests.template.source import template

EVENTS = sorted(file.stem for file in FOLDER.glob("*.json"))
SOURCES = functions_by_kind(template()["Resources"])


def function_with(event: dict[str, Any]) -> str:
    return function_of(event, template()["Resources"])


def test_each_route_and_source_has_one_event() -> None:
    # The event of HEAD is that of GET but for its method.
    kinds = Counter(kind_of(sample(name)) for name in EVENTS)
    assert kinds == dict.fromkeys((kind for kind in SOURCES if not kind.startswith("HEAD ")), 1)


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


def test_readme_lists_every_event() -> None:
    text = (FOLDER / "README.md").read_text()
    assert [name for name in EVENTS if f"`{name}.json`" not in text] == []
