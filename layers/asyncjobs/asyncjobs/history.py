"""What the table remembers of each job type: how long its jobs took. One item a type, apart from all jobs.

Nothing depends on it but how often clients look, and which of two right places a job runs in. So it may be old, may miss
jobs and may count one twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from botocore.exceptions import ClientError

from asyncjobs import aws, log
from asyncjobs.clock import rfc3339, to_whole_seconds
from asyncjobs.durations import Durations
from asyncjobs.errors import Unavailable
from asyncjobs.items import Item, seconds_value

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=90)
"""How long a type's durations are kept when no job of it ends any more."""

FRESH = 60.0
"""Seconds for which what was read, or that it could not be read, is not asked for again."""

_TRIES = 5

T = TypeVar("T")


class History(Protocol):
    """Where durations are kept. `DynamoHistory` is the real one, the tests' fake the other; one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def get(self, job_type: str) -> Durations:
        """How long jobs of this type took; empty when none has ended. Eventually consistent."""
        ...

    def add(self, job_type: str, durations: Durations, now: datetime) -> None:
        """Add jobs that have ended; the oldest fade. Nothing is lost to another who adds at the same time."""
        ...


class DynamoHistory:
    """A `History` in the jobs' own table: `D#` and the job type is the key. Indexes do not hold it, for want of their keys."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or aws.dynamodb()

    def get(self, job_type: str) -> Durations:
        with aws.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_key(job_type))
        return _durations(answer.get("Item"))

    def add(self, job_type: str, durations: Durations, now: datetime) -> None:
        """See `History`. Races with the learners of the stream's other shards: who finds a newer revision adds to that one."""
        with aws.translated("The table"):
            current: Item | None = self._client.get_item(
                TableName=self._table_name, Key=_key(job_type), ConsistentRead=True
            ).get("Item")
            for _ in range(_TRIES):
                item = _item(job_type, _durations(current).merged(durations).faded(), _revision(current) + 1, now)
                try:
                    self._client.put_item(
                        TableName=self._table_name,
                        Item=item,
                        ConditionExpression="attribute_not_exists(pk) OR revision = :revision",
                        ExpressionAttributeValues={":revision": {"N": str(_revision(current))}},
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    )
                except ClientError as error:
                    current = aws.standing_item(error)
                    if current == item:
                        # This write's own first try, whose answer got lost.
                        return
                else:
                    return
        raise Unavailable("Too many add durations at the same time.")


class CachedHistory(Generic[T]):
    """What `tells` makes of each job type's durations: read once a minute at most, and never waited for twice."""

    def __init__(
        self, history: History, tells: Callable[[Durations], T], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._history = history
        self._tells = tells
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, T | None]] = {}

    def of(self, job_type: str) -> T | None:
        """What past jobs of the type tell; None while the table does not say. Raises nothing that a request would fail by."""
        now = self._monotonic()
        until, known = self._known.get(job_type, (now, None))
        if until <= now:
            known = self._read(job_type)
            self._known[job_type] = now + FRESH, known
        return known

    def _read(self, job_type: str) -> T | None:
        try:
            return self._tells(self._history.get(job_type))
        except Unavailable:
            log.event("HISTORY_UNAVAILABLE", jobType=job_type)
            return None


def _key(job_type: str) -> Any:
    return {"pk": {"S": f"D#{job_type}"}}


def _item(job_type: str, durations: Durations, revision: int, now: datetime) -> Item:
    return {
        **_key(job_type),
        "durations": {"S": durations.to_json()},
        "revision": {"N": str(revision)},
        "updatedAt": {"S": rfc3339(now)},
        "recordExpiresAt": seconds_value(to_whole_seconds(now + KEPT)),
    }


def _durations(item: Item | None) -> Durations:
    try:
        return Durations.from_json(item["durations"]["S"]) if item else Durations()
    except (KeyError, ValueError):
        # Of another release, or broken: it is learnt anew, and the next write replaces it.
        return Durations()


def _revision(item: Item | None) -> int:
    return int(item["revision"]["N"]) if item else 0
