"""Every promise holds in every reachable state, and each known mistake is caught."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.proof.model.explore import Finding
from tests.proof.model.variants import BUILT, MISTAKES, SPARE, Variant, explore_all

ALL = (*BUILT, *SPARE, *MISTAKES)
LONGEST_TRACE = 20

pytestmark = pytest.mark.slow


def titles(variant: Variant) -> str:
    return variant.title


@pytest.fixture(scope="session")
def findings() -> Mapping[str, Finding]:
    return {variant.title: finding for variant, finding in zip(ALL, explore_all(ALL), strict=True)}


@pytest.mark.parametrize("variant", [*BUILT, *SPARE], ids=titles)
def test_every_promise_holds(findings: Mapping[str, Finding], variant: Variant) -> None:
    finding = findings[variant.title]
    assert not finding.problem, "\n".join((finding.problem, *finding.trace))


@pytest.mark.parametrize("variant", MISTAKES, ids=titles)
def test_mistake_is_caught_with_a_short_trace(findings: Mapping[str, Finding], variant: Variant) -> None:
    finding = findings[variant.title]
    assert finding.problem.startswith(variant.breaks)
    assert 0 < len(finding.trace) <= LONGEST_TRACE


def test_enough_states_are_explored(findings: Mapping[str, Finding]) -> None:
    assert sum(findings[variant.title].states for variant in BUILT) >= 200_000


def test_titles_are_unique() -> None:
    assert len({variant.title for variant in ALL}) == len(ALL)
