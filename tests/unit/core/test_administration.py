"""The rights of groups."""

from __future__ import annotations

import pytest

from asyncjobs.core.administration import GROUPS, Right, rights_of


def test_user_without_a_group_has_no_right() -> None:
    assert rights_of([]) == frozenset()


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_see_jobs(group: str) -> None:
    assert Right.VIEW in rights_of([group])


def test_rights_of_several_groups_add_up() -> None:
    assert rights_of(["payload-viewer", "operator"]) == rights_of(["admin"]) == frozenset(Right)


def test_operator_reads_no_payload_and_payload_viewer_changes_nothing() -> None:
    assert Right.PAYLOADS not in rights_of(["viewer", "operator"])
    assert Right.OPERATE not in rights_of(["viewer", "payload-viewer"])
