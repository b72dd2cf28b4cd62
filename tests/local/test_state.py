"""What is on record."""

from pathlib import Path

import pytest

from local.errors import BusyError
from local.state import State


def test_what_is_remembered_is_recalled_until_it_is_forgotten(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("stack", {"pid": 1})
    assert state.recall("stack") == {"pid": 1}
    state.forget("stack")
    assert state.recall("stack") == {}


def test_a_record_that_was_cut_off_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"pid": ')
    assert State(tmp_path).recall("stack") == {}


def test_two_cannot_change_a_stack_at_once(tmp_path: Path) -> None:
    with State(tmp_path).alone(), pytest.raises(BusyError, match="Wait for it to end"), State(tmp_path).alone():
        pass
