"""`batch.delete` deletes what it can, says what it cannot, and may run twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from asyncjobs import Fatal, JobCancelled, Retry
from asyncjobs.testing import FakeContext
from jobs.batch_delete import MAX_UPLOADS, BatchInput, BatchOutput, batch_delete

IDS = [str(uuid.UUID(int=number, version=4)) for number in range(4)]


def uploads(*ids: str) -> dict[str, bytes]:
    return {f"uploads/{each}": b"text" for each in ids}


@dataclass
class Refusing(FakeContext):
    """A context whose bucket refuses to delete some uploads."""

    refused: tuple[str, ...] = ()

    def delete_upload(self, key: str) -> None:
        """Delete the upload, unless it is refused."""
        if key.removeprefix("uploads/") in self.refused:
            raise ConnectionError("the bucket does not answer")
        super().delete_upload(key)


def deleted(output: BatchOutput) -> list[tuple[str, bool]]:
    return [(result.id, result.deleted) for result in output.results]


def test_uploads_are_deleted_and_others_stay() -> None:
    context = FakeContext(inputs={**uploads(*IDS), "report.pdf": b"%PDF"})
    assert deleted(batch_delete(BatchInput(ids=IDS[:2]), context)) == [(IDS[0], True), (IDS[1], True)]
    assert set(context.inputs) == {*uploads(*IDS[2:]), "report.pdf"}


def test_second_run_gives_the_same_result() -> None:
    context = FakeContext(inputs=uploads(*IDS))
    first, second = (batch_delete(BatchInput(ids=IDS), context) for _ in range(2))
    assert first == second


def test_id_that_is_given_twice_has_one_entry() -> None:
    output = batch_delete(BatchInput(ids=[IDS[1], IDS[0], IDS[1]]), FakeContext())
    assert [result.id for result in output.results] == [IDS[1], IDS[0]]


def test_progress_names_each_upload() -> None:
    context = FakeContext()
    batch_delete(BatchInput(ids=IDS), context)
    assert context.reports == [(25 * number, f"Deleting upload {number + 1} of 4") for number in range(4)]


def test_failure_harms_no_other_upload_and_leads_to_another_attempt() -> None:
    context = Refusing(inputs=uploads(*IDS), refused=(IDS[1],))
    with pytest.raises(Retry) as raised:
        batch_delete(BatchInput(ids=IDS), context)
    assert (raised.value.code, raised.value.message) == ("NOT_ALL_DELETED", "1 of 4 uploads could not be deleted yet.")
    assert set(context.inputs) == {f"uploads/{IDS[1]}"}


def test_last_attempt_says_which_upload_failed() -> None:
    context = Refusing(inputs=uploads(*IDS), refused=(IDS[1],), attempt=3)
    output = batch_delete(BatchInput(ids=IDS), context)
    assert deleted(output) == [(IDS[0], True), (IDS[1], False), (IDS[2], True), (IDS[3], True)]
    assert output.results[1].error == "It could not be deleted. Submit it again later."
    assert [result.error for result in output.results if result.deleted] == [None] * 3


def test_job_that_can_delete_nothing_fails() -> None:
    with pytest.raises(Fatal) as raised:
        batch_delete(BatchInput(ids=IDS), Refusing(refused=tuple(IDS), attempt=3))
    assert raised.value.code == "NOTHING_DELETED"


def test_cancelled_job_deletes_nothing_more() -> None:
    context = FakeContext(inputs=uploads(*IDS), interruption=JobCancelled())
    with pytest.raises(JobCancelled):
        batch_delete(BatchInput(ids=IDS), context)
    assert len(context.inputs) == 4


@pytest.mark.parametrize(
    "ids",
    [[], ["x"], [f"uploads/{IDS[0]}"], [IDS[0] + "/.."], ["../bob/uploads/" + IDS[0]], [IDS[0]] * (MAX_UPLOADS + 1), [1]],
    ids=["none", "a word", "a key", "more of a path", "another owner's", "too many", "a number"],
)
def test_other_ids_are_rejected(ids: list[str]) -> None:
    with pytest.raises(ValidationError):
        BatchInput(ids=ids)
