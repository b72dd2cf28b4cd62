"""A tracked job: an outside worker reports by a read, and a write if nothing has changed since.

In the product the owner may report without a generation, for the one that is read. In the model, reports are those of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tests.proof.model.explore import Step
from tests.proof.model.job import CANCELLED, COMPLETED, FAILED, FINISHED, IN_PROGRESS, NUMBERS, PENDING, WRONG_NUMBER

Steps = Iterator["Step[State]"]

UNREPORTED, HALFWAY, DONE = 0, 1, 2


class Flaw(Enum):
    """A mistake that the design does not make."""

    NONE = "the design"
    ENDED_IS_OPEN = "report that does not check whether the job has ended"
    PROGRESS_NOT_COMPARED = "report that does not compare the progress"
    NOTHING_COMPARED = "report that checks when it reads, and compares nothing when it writes"
    TOKEN_READ = "report that takes the job's token as it finds it, instead of the one it was sent with"
    TOKEN_NOT_COMPARED = "report that checks its token when it reads, and does not compare it when it writes"
    REISSUE_NOT_COMPARED = "new token that does not compare the one that it replaces"
    RETRY_KEEPS_TOKEN = "retry that keeps the worker's token"


class Item(NamedTuple):
    """The tracked job. It is due at its deadline and never sent."""

    generation: int
    token: int
    """The number of the worker's token: the hash that is stored."""
    status: str
    progress: int
    is_due: bool
    seq: int = 1
    """The number of the last write that a client can see, as in the other model."""


class Report(NamedTuple):
    """The report of an outside worker with its token, and the write of that report."""

    token: int
    status: str
    progress: int
    seen: Item
    """The item that was read for it."""

    def is_for(self, item: Item, flaw: Flaw) -> bool:
        """Return whether the report is written after the item is read."""
        is_open = item.status in {PENDING, IN_PROGRESS} or flaw is Flaw.ENDED_IS_OPEN
        return is_open and (item.token == self.token or flaw is Flaw.TOKEN_READ)

    def is_writable(self, item: Item, flaw: Flaw) -> bool:
        """Return whether the condition of the write holds."""
        if flaw is Flaw.NOTHING_COMPARED:
            return True
        return (
            item.generation == self.seen.generation
            and (item.token == self.seen.token or flaw is Flaw.TOKEN_NOT_COMPARED)
            and (item.status == self.seen.status or flaw is Flaw.ENDED_IS_OPEN)
            and (item.progress == self.seen.progress or flaw is Flaw.PROGRESS_NOT_COMPARED)
        )

    def of(self, item: Item) -> Item:
        """Return the item after the report. Progress that was overtaken does not decrease."""
        progress = max(self.seen.progress, self.progress)
        seq = _next(item.seq, is_news=(self.status, progress) != (self.seen.status, self.seen.progress))
        return item._replace(status=self.status, progress=progress, is_due=self.status not in FINISHED, seq=seq)


class Reissue(NamedTuple):
    """A write of a new token that is sent again later: the SDK repeats it, or the network delivers it twice."""

    token: int
    seen: Item


class State(NamedTuple):
    """The job, the unanswered reports, a delayed one, and the remaining steps."""

    item: Item | None
    unanswered: tuple[Report, ...]
    late: Report | None
    cancel: Item | None
    """The item that an unfinished cancel has read; the next two are for the sweeper and the owner's retry."""
    sweep: Item | None
    retry: Item | None
    reissue: Item | None
    again: Reissue | None
    issued: tuple[int, ...]
    """The generation of each token."""
    gens: int
    is_expired: bool
    reports_left: int
    faults_left: int
    submits_left: int
    cancels_left: int
    retries_left: int
    reissues_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The number of possible steps of each kind."""

    reports: int = 3
    faults: int = 1
    submits: int = 2
    cancels: int = 1
    retries: int = 1
    reissues: int = 1
    flaw: Flaw = Flaw.NONE
    checks_numbers: bool = True
    """Whether the numbers are checked, which a repeated report may break first."""


class Tracked:
    """A model to explore: see `explore.Model`."""

    def __init__(self, setting: Setting) -> None:
        self._flaw = setting.flaw
        self._checks_numbers = setting.checks_numbers
        self.start = State(
            item=None,
            unanswered=(),
            late=None,
            cancel=None,
            sweep=None,
            retry=None,
            reissue=None,
            again=None,
            issued=(),
            gens=0,
            is_expired=False,
            reports_left=setting.reports,
            faults_left=setting.faults,
            submits_left=setting.submits,
            cancels_left=setting.cancels,
            retries_left=setting.retries,
            reissues_left=setting.reissues,
        )

    def steps(self, state: State) -> Steps:
        """Yield all possible next steps."""
        yield from _submits(state)
        yield from self._reports(state)
        yield from _reads(state)
        yield from _swaps(state, self._flaw)
        yield from self._reissues(state)
        yield from _time(state)

    def may_rest(self, state: State) -> bool:
        """Return whether there is no job or it has ended."""
        return state.item is None or state.item.status in FINISHED

    def wrong(self, state: State) -> str:
        """Return the invariant that the state breaks."""
        item = state.item
        if item is not None and item.is_due is (item.status in FINISHED):
            return "I11 unfinished, and not in the due index"
        return ""

    def wrong_change(self, before: State, after: State) -> str:
        """Return the invariant that the change of the item breaks."""
        old, new = before.item, after.item
        if old is None or old == new:
            return ""
        if new is None:
            return "" if before.is_expired else "I5 an accepted job has disappeared"
        if new.generation != old.generation:
            return "" if before.is_expired or old.status in {FAILED, CANCELLED} else "I4 a job is replaced"
        if old.status in FINISHED:
            return f"I1 {old.status} becomes {new.status}" if old.status != new.status else "I6 it ends for a second time"
        return next(_wrongs(old, new, checks_number=self._checks_numbers), "")

    # ── Report ─────────────────────────────────────────────────────────────────────────────────────

    def _reports(self, state: State) -> Steps:
        for token in range(1, len(state.issued) + 1 if state.reports_left else 1):
            for status, progress in ((IN_PROGRESS, HALFWAY), (IN_PROGRESS, DONE), (COMPLETED, DONE), (FAILED, UNREPORTED)):
                sent = state._replace(reports_left=state.reports_left - 1)
                label = f"{status} {progress} is reported with token {token}"
                report = state.item and Report(token, status, progress, state.item)
                if report is None or not report.is_for(report.seen, self._flaw):
                    yield Step(f"{label}, and is refused", sent, is_fault=True)
                else:
                    yield from self._writes(sent, report, label, is_fault=True)
        for report in state.unanswered:
            others = list(state.unanswered)
            others.remove(report)
            label = f"{report.status} {report.progress} with token {report.token} is repeated"
            yield from self._writes(state._replace(unanswered=tuple(others)), report, label, is_fault=False)
        if state.late is not None:
            after = state._replace(late=None)
            label = f"the held up {state.late.status} {state.late.progress} arrives"
            yield from self._arrives(after, state.late, label, is_fault=True)

    def _writes(self, state: State, report: Report, label: str, *, is_fault: bool) -> Steps:
        yield from self._arrives(state, report, label, is_fault=is_fault)
        if not state.faults_left:
            return
        faulty = state._replace(faults_left=state.faults_left - 1, unanswered=tuple(sorted((*state.unanswered, report))))
        yield from self._arrives(faulty, report, f"{label}, and gets no answer", is_fault=True)
        if state.late is None:
            yield Step(f"{label}, but that write is held up", faulty._replace(late=report), is_fault=True)

    def _arrives(self, state: State, report: Report, label: str, *, is_fault: bool) -> Steps:
        item = state.item
        if item is None or not report.is_writable(item, self._flaw):
            yield Step(f"{label}, and is refused", state, is_fault)
            return
        wrong = ""
        if (item.token, item.generation) != (report.token, state.issued[report.token - 1]):
            wrong = f"I8 a report with token {report.token} changes generation {item.generation}, whose token is {item.token}"
        if item.status in FINISHED:
            wrong = f"I1 a report changes what was {item.status}"
        yield Step(label, state._replace(item=report.of(item)), is_fault, wrong)

    # ── New token ──────────────────────────────────────────────────────────────────────────────────

    def _reissues(self, state: State) -> Steps:
        seen, again = state.reissue, state.again
        if seen is not None:
            over = state._replace(reissue=None)
            if state.item is None or not self._is_replaceable(state.item, seen):
                yield Step("the new token lost a race", over)
            else:
                token = len(state.issued) + 1
                issued = over._replace(item=state.item._replace(token=token), issued=(*state.issued, seen.generation))
                yield Step("the new token replaces the earlier one", issued)
                if state.faults_left and again is None:
                    twice = issued._replace(faults_left=state.faults_left - 1, again=Reissue(token, seen))
                    yield Step(
                        "the new token replaces the earlier one, and its write arrives again later", twice, is_fault=True
                    )
        if again is not None:
            over = state._replace(again=None)
            if state.item is not None and self._is_replaceable(state.item, again.seen):
                written = over._replace(item=state.item._replace(token=again.token))
                yield Step(f"the write of token {again.token} arrives again", written, is_fault=True)
            else:
                yield Step(f"the write of token {again.token} arrives again, and is refused", over, is_fault=True)

    def _is_replaceable(self, item: Item, seen: Item) -> bool:
        """Return whether a new token's condition holds. Progress may have been reported since."""
        is_same_token = item.token == seen.token or self._flaw is Flaw.REISSUE_NOT_COMPARED
        return (item.generation, item.status) == (seen.generation, seen.status) and is_same_token


def _wrongs(old: Item, new: Item, *, checks_number: bool) -> Iterator[str]:
    if new.token < old.token:
        yield f"I8 token {new.token}, which was replaced by {old.token}, is valid again"
    if new.progress < old.progress:
        yield "I10 the progress goes back"
    if checks_number and new.seq != _next(old.seq, is_news=(new.status, new.progress) != (old.status, old.progress)):
        yield WRONG_NUMBER


def _submits(state: State) -> Steps:
    if state.submits_left and (state.item is None or state.is_expired):
        submitted = _begun(state)._replace(submits_left=state.submits_left - 1)
        yield Step("the client submits", submitted, is_fault=True)


def _next(seq: int, *, is_news: bool) -> int:
    return (seq + is_news) % NUMBERS


def _begun(state: State, *, token: int | None = None) -> State:
    """Return the state with a new generation, and a new token if there is none to keep."""
    generation, new_token = state.gens + 1, len(state.issued) + 1
    item = Item(generation, token or new_token, PENDING, 0, is_due=True)
    issued = state.issued if token else (*state.issued, generation)
    return state._replace(item=item, gens=generation, issued=issued, is_expired=False)


def _reads(state: State) -> Steps:
    item = state.item
    if item is None or state.is_expired:
        return
    if item.status not in FINISHED:
        if state.cancels_left:
            reads = state._replace(cancel=item, cancels_left=state.cancels_left - 1)
            yield Step("the cancel reads it", reads, is_fault=True)
        if state.reissues_left and state.reissue is None:
            reads = state._replace(reissue=item, reissues_left=state.reissues_left - 1)
            yield Step("the request for a new token reads it", reads, is_fault=True)
        if state.sweep is None:
            # The deadline passes eventually: it ends a job whose outside worker is lost.
            yield Step("the sweeper reads it, its deadline being over", state._replace(sweep=item))
    elif item.status != COMPLETED and state.retries_left and state.retry is None:
        reads = state._replace(retry=item, retries_left=state.retries_left - 1)
        yield Step("the retry reads it", reads, is_fault=True)


def _swaps(state: State, flaw: Flaw) -> Steps:
    """Swap by the fence: only the progress or the token may have changed. An actor that loses a race starts again if needed."""
    if state.cancel is not None:
        yield _ends(state, state._replace(cancel=None), state.cancel, "cancel", CANCELLED)
    if state.sweep is not None:
        yield _ends(state, state._replace(sweep=None), state.sweep, "sweep", FAILED)
    if state.retry is not None:
        over = state._replace(retry=None)
        if _is_unchanged(state, state.retry):
            token = state.retry.token if flaw is Flaw.RETRY_KEEPS_TOKEN else None
            again = _begun(over, token=token)
            if again.item is not None and state.item is not None:
                again = again._replace(item=again.item._replace(seq=_next(state.item.seq, is_news=True)))
            yield Step("the retry makes it wait again", again)
        else:
            yield Step("the retry lost a race", over)


def _ends(state: State, over: State, seen: Item, who: str, status: str) -> Step[State]:
    if state.item is None or not _is_unchanged(state, seen):
        return Step(f"the {who} lost a race", over)
    return Step(f"the {who} ends it", over._replace(item=_ended(state.item, status)))


def _ended(item: Item, status: str) -> Item:
    return item._replace(status=status, is_due=False, seq=_next(item.seq, is_news=True))


def _is_unchanged(state: State, seen: Item) -> bool:
    return state.item is not None and (state.item.generation, state.item.status) == (seen.generation, seen.status)


def _time(state: State) -> Steps:
    if state.item is not None and state.item.status in FINISHED and not state.is_expired:
        yield Step("the record expires", state._replace(is_expired=True), is_fault=True)
    if state.is_expired:
        yield Step("the expired record is deleted", state._replace(item=None), is_fault=True)
