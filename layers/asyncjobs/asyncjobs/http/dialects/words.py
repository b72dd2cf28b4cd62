"""Our words in a dialect's form: those of a job, and those of an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncjobs.core.clock import from_rfc3339, rfc3339
from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect

_CANCELLED = {"code": "JOB_CANCELLED", "message": "The job was cancelled.", "type": "JobCancelled", "retryable": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWords:
    """The words of an answer with a job, or with a job's bare result."""

    dialect: Dialect
    ours: Mapping[str, Any]
    """Our body. A bare result is `result`, with the id and the status of its job."""
    now: datetime
    input: Callable[[], Any]
    result: Callable[[], Any]
    """Reads the result that our body has not."""
    result_location: str | None
    """Where the dialect has a job's result."""

    def __call__(self, word: str) -> Any:
        """Return what the word means. Dots lead into objects: `error.message`, `metadata.documentId`."""
        name, *path = word.split(".")
        value = self._value(name)
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _value(self, name: str) -> Any:
        value, meaning = self.ours.get(name), _MEANINGS.get(name)
        return value if meaning is None else meaning(self, value)


def _time(words: JobWords, value: Any) -> Any:
    return value and time_in(words.dialect, from_rfc3339(value))


def _id(words: JobWords, value: Any) -> Any:
    # Only a whole job has what some ids are made of.
    return words.dialect.ids.theirs(words.ours) if "createdAt" in words.ours else value


def _progress(words: JobWords, value: Any) -> Any:
    most = words.dialect.most_progress
    return value if value is None or most == _PERCENT else value * most / _PERCENT


def _started(words: JobWords, _value: Any) -> Any:
    messages = words.dialect.messages
    return messages.get(words.ours.get("jobType", "")) or messages[""]


def _error(words: JobWords, value: Any) -> Any:
    """Return the job's error once it has ended by it: before, our record has that of the last attempt."""
    return {Status.FAILED: value, Status.CANCELLED: _CANCELLED}.get(words.ours["status"])


_PERCENT = 100
_STORED = frozenset({"S3", "URL"})
_MEANINGS: Mapping[str, Callable[[JobWords, Any], Any]] = {
    **dict.fromkeys(("createdAt", "updatedAt", "startedAt", "endedAt", "estimatedEndAt"), _time),
    "asyncJobId": _id,
    "status": lambda words, value: words.dialect.statuses[Status(value)],
    "progress": _progress,
    "started": _started,
    "now": lambda words, _: time_in(words.dialect, words.now),
    "input": lambda words, _: words.input(),
    "result": lambda words, value: words.result() if words.ours.get("resultType") in _STORED else value,
    "resultLocation": lambda words, value: value and words.result_location,
    "error": _error,
}
"""The words that mean something else than what our answer has, and what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorWords:
    """The words of an error."""

    dialect: Dialect
    problem: Mapping[str, Any]
    """Our body."""
    now: datetime
    requested_id: str | None = None
    """The job id in the path, as its client wrote it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Our names of the members of the request's body."""

    def __call__(self, word: str) -> Any:
        """Return what the word means."""
        match word:
            case "now":
                return time_in(self.dialect, self.now)
            case "asyncJobId":
                return self.requested_id
            case "message":
                return self._message()
            case _:
                return self.problem.get(word)

    def _message(self) -> str:
        text = self.dialect.error_messages.get(self.problem["code"])
        if text is not None:
            return text.replace("{id}", self.requested_id or "")
        if error := self.problem.get("error"):
            # The client needs to know how its job ended.
            message: str = error["message"]
            return message
        if errors := self.problem.get("errors"):
            return "; ".join(f"{self._pointer(each['pointer'])} {each['detail']}".strip() for each in errors)
        detail: str = self.problem["detail"]
        return detail

    def _pointer(self, pointer: str) -> str:
        """Return the pointer to the member as its client named it."""
        first, slash, rest = pointer.removeprefix("/").partition("/")
        theirs = next((name for name, ours in self.fields.items() if ours == first), first)
        return f"/{theirs}{slash}{rest}" if pointer else ""


def time_in(dialect: Dialect, instant: datetime) -> str:
    """Return the time in the dialect's form."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}" if dialect.whole_seconds else rfc3339(instant)
