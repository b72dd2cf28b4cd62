"""Records in the state folder, and its lock."""

from pathlib import Path

import pytest

from local.errors import BusyError
from local.state import State


def test_records_are_kept_until_they_are_deleted(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("stack", {"pid": 1})
    assert state.recall("stack") == {"pid": 1}
    state.forget("stack")
    assert state.recall("stack") == {}


def test_incomplete_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"pid": ')
    assert State(tmp_path).recall("stack") == {}


def test_only_one_process_changes_a_stack_at_a_time(tmp_path: Path) -> None:
    with State(tmp_path).alone(), pytest.raises(BusyError, match="Wait for it to end"), State(tmp_path).alone():
        pass
