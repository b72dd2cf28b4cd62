"""The state of the process is noted before a job's code, and restored after it."""

from __future__ import annotations

import contextvars
import decimal
import io
import json
import os
import random
import resource
import sys
import tempfile
import types
import uuid
from pathlib import Path

import pytest

from asyncjobs.worker.process_state import ProcessState, call_apart
from tests.unit.worker.conftest import part


class ComparesWithNothing:
    def __eq__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = object.__hash__


def test_change_is_restored_when_the_job_raises(state: ProcessState) -> None:
    before = Path.cwd()

    def fail() -> None:
        with state:
            os.chdir("/")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert Path.cwd() == before


def test_variable_that_the_runtime_sets_between_two_jobs_stays(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        pass
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "of the next invocation")
    with state:
        pass
    assert os.environ["_X_AMZN_TRACE_ID"] == "of the next invocation"


@pytest.mark.parametrize(("module", "stays"), [("a_package_for_a_test", True), ("antigravity", False)])
def test_configuration_of_a_module_that_the_job_imports_stays(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, *, stays: bool
) -> None:
    before = Path.cwd()
    with state:
        monkeypatch.setitem(sys.modules, module, sys)  # as an import statement does
        monkeypatch.setenv("CONFIGURED", "by the module")
        os.chdir(tmp_path)
    assert ("CONFIGURED" in os.environ, Path.cwd()) == (stays, before)


def test_configuration_of_the_jobs_own_module_stays(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        monkeypatch.setenv("CONFIGURED", "by the module")
        monkeypatch.setitem(sys.modules, "a_module_of_a_job", sys)
        state.note_imports()
        os.environ["OWNER"] = "alice"
    assert "CONFIGURED" in os.environ
    assert "OWNER" not in os.environ


def test_jobs_side_by_side_share_the_state_before_the_first(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        monkeypatch.setenv("OWNER", "alice")
        with state:
            os.environ["OWNER"] = "bob"
        assert "OWNER" not in os.environ
    assert "OWNER" not in os.environ


def test_state_that_cannot_be_restored_is_broken(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with state:
        stream.close()
    assert state.broken == ["standard streams"]


def test_context_variables_and_decimals_are_the_jobs_own() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    precision = decimal.getcontext().prec

    def change() -> tuple[int, int]:
        found = variable.get(), decimal.getcontext().prec
        variable.set(7)
        decimal.getcontext().prec = 3
        return found

    assert call_apart(change) == call_apart(change) == (0, precision)
    assert (variable.get(), decimal.getcontext().prec) == (0, precision)


def test_object_that_cannot_be_compared_is_replaced(state: ProcessState) -> None:
    before = sys.excepthook
    with state:
        sys.excepthook = ComparesWithNothing()  # type: ignore[assignment]  # as a job may
    assert (sys.excepthook, state.broken) == (before, [])


def test_part_that_cannot_be_read_is_restored(state: ProcessState) -> None:
    before = sys.stdin
    with state:
        del sys.stdin
    assert (sys.stdin, state.broken) == (before, [])


# ── Compared only when the last time is some milliseconds ago ──────────────────────────────────────


def test_limit_that_was_not_compared_in_time_is_restored_before_the_next_job(
    state: ProcessState, compared: list[float]
) -> None:
    before = part("resource limits")
    with state:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    compared[0] += 0.25
    with state:
        assert part("resource limits") == before


@pytest.mark.parametrize("fault", ["patched", "deleted"])
def test_function_that_a_job_has_replaced_is_set_back(state: ProcessState, fault: str) -> None:
    before = uuid.uuid1
    with state:
        if fault == "patched":
            uuid.uuid1 = uuid.uuid3  # type: ignore[assignment]
        else:
            del uuid.uuid1
    assert (uuid.uuid1, state.broken) == (before, [])


def test_function_that_a_package_replaces_when_it_is_imported_stays(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state:
        monkeypatch.setitem(sys.modules, "a_package_for_a_test", types.ModuleType("a_package_for_a_test"))
        monkeypatch.setattr(json, "dumps", print)
        monkeypatch.setattr(uuid, "uuid1", print)
    with state:
        pass
    assert vars(json)["dumps"] is vars(uuid)["uuid1"] is print


def test_all_code_is_compared_a_few_times_a_second(
    state: ProcessState, compared: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
    assert vars(uuid)["uuid1"] is print
    compared[0] += 0.25
    with state:
        assert uuid.uuid1 is before


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("imported", ["between the jobs", "by the next job"])
def test_function_that_a_quick_job_has_left_is_not_noted_with_an_import(
    state: ProcessState, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
    module = "a_module_of_a_test"
    if imported == "between the jobs":
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    with state:
        if imported == "by the next job":
            state.prepare_import()
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
            state.note_imports()
        assert uuid.uuid1 is before


@pytest.mark.usefixtures("compared")
def test_code_is_not_compared_for_the_first_use_of_a_temporary_folder(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
        monkeypatch.setattr(tempfile, "tempdir", "/tmp/of-a-job")
    assert (tempfile.tempdir == "/tmp/of-a-job", vars(uuid)["uuid1"]) == (False, print)


def test_random_numbers_of_a_job_are_its_own_while_others_of_the_batch_end(state: ProcessState) -> None:
    with state:
        random.seed(42)
        with state:
            pass
        assert random.random() == random.Random(42).random()


@pytest.mark.usefixtures("compared")
def test_code_is_compared_when_a_function_that_is_replaced_often_has_changed(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(json, "dumps", print)
        monkeypatch.setattr(uuid, "uuid1", print)  # as a library that replaces a clock does it, everywhere
    assert uuid.uuid1 is before


def test_next_job_does_not_know_the_random_numbers_to_come(state: ProcessState) -> None:
    with state:
        random.seed(1)
        expected = [random.random() for _ in range(3)]
        random.seed(1)
    assert [random.random() for _ in range(3)] != expected
