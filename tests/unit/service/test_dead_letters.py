"""Dead letters are redriven by the records of their jobs, over fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey
from asyncjobs.core.message import JobMessage
from asyncjobs.core.records import replace
from asyncjobs.service.dead_letters import DeadLetterRedrive, LetterOutcome
from tests.support.factories import NOW, new_job, new_tracked_job, running_job
from tests.support.fakes import FakeClock, FakeDeadLetters, FakeQueue, FakeStore

FAILED = running_job().failed(now=NOW, error=JobFailure(code="X", message="x", type="Fatal", retryable=False))


class BrokenStore(FakeStore):
    """A store of which some records cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = set[JobKey]()

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        return {**super().get_all(keys), **{key: Unreadable("x") for key in keys if key in self.broken}}


class World:
    def __init__(self, *jobs: AsyncJob) -> None:
        self.store, self.queue, self.letters, self.clock = BrokenStore(), FakeQueue(), FakeDeadLetters(), FakeClock(NOW)
        self.store.jobs |= {job.key: job for job in jobs}
        self._redrive = DeadLetterRedrive(letters=self.letters, store=self.store, queue=self.queue, clock=self.clock)

    def redrive(self, *bodies: str, discards_malformed: bool = False) -> list[str]:
        self.letters.bodies = {str(number): body for number, body in enumerate(bodies)}
        letters = self._redrive.receive(at_most=50)
        return [each.outcome for each in self._redrive.redrive(letters, discards_malformed=discards_malformed)]


def letter_of(job: AsyncJob) -> str:
    return JobMessage.of(job).to_body()


def test_job_that_waits_gets_a_new_message_and_its_letters_are_deleted() -> None:
    job = new_job()
    world = World(job)
    assert world.redrive(letter_of(job), letter_of(job)) == [LetterOutcome.SENT, LetterOutcome.SENT]
    assert (world.queue.sent, world.letters.bodies) == ([JobMessage.of(job)], {})


def test_new_message_is_of_the_record_and_not_of_the_letter() -> None:
    job = new_job()
    world = World(job)
    world.redrive(letter_of(replace(job, generation="another", job_type="another.type")))
    assert world.queue.sent == [JobMessage.of(job)]


@pytest.mark.parametrize(
    "job",
    [running_job(), FAILED, new_job(not_before=NOW + timedelta(hours=1)), new_tracked_job()],
    ids=["runs", "failed", "starts later", "tracked"],
)
def test_letter_of_a_job_that_may_not_run_now_is_deleted_without_a_message(job: AsyncJob) -> None:
    world = World(job)
    assert world.redrive(letter_of(job)) == [LetterOutcome.SETTLED]
    assert (world.queue.sent, world.letters.bodies) == ([], {})


def test_letter_of_a_deleted_job_is_deleted() -> None:
    world = World()
    assert world.redrive(letter_of(new_job())) == [LetterOutcome.SETTLED]
    assert world.letters.bodies == {}


def test_letter_of_a_dead_worker_is_sent_once_the_lease_has_ended() -> None:
    job = running_job()
    world = World(job)
    world.clock.advance(seconds=3600)
    assert world.redrive(letter_of(job)) == [LetterOutcome.SENT]


def test_malformed_letter_stays_unless_it_is_discarded() -> None:
    world = World()
    later = '{"version": 2, "owner": "alice"}'
    assert world.redrive("no JSON", later) == [LetterOutcome.MALFORMED] * 2
    assert len(world.letters.bodies) == 2
    world.letters.hidden.clear()
    assert world.redrive("no JSON", later, discards_malformed=True) == [LetterOutcome.DISCARDED] * 2
    assert world.letters.bodies == {}


def test_letter_of_a_record_that_cannot_be_read_stays() -> None:
    job = new_job()
    world = World(job)
    world.store.broken.add(job.key)
    assert world.redrive(letter_of(job), discards_malformed=True) == [LetterOutcome.UNREADABLE]
    assert len(world.letters.bodies) == 1


def test_queue_that_is_down_leaves_all_letters() -> None:
    job = new_job()
    world = World(job)
    world.queue.is_down = True
    with pytest.raises(Unavailable):
        world.redrive(letter_of(job), letter_of(FAILED))
    assert len(world.letters.bodies) == 2
