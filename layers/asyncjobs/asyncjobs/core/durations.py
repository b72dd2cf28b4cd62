"""How long the jobs of a type took: a histogram whose buckets have equal relative width, and in which old jobs fade."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GROWTH = 1.05
"""Ratio of one bucket's end to the previous one's. A duration read from the middle of a bucket is off by 2.5 % at most."""

SHORTEST = 0.5
"""Seconds. The first bucket ends here: `Retry-After` is in whole seconds, so a finer one would not change it."""

LONGEST = 86_400.0
"""Seconds. The last bucket ends here and also holds longer durations."""

BUCKETS = 2 + math.ceil(math.log(LONGEST / SHORTEST, GROWTH))

MEMORY = 200
"""Jobs. Above twice as many, all counts are halved: the last MEMORY jobs weigh about as much as all earlier ones."""


LARGEST_CLASS = 12
"""The class of the largest sizes: a trillion and more."""


def size_class(size: float) -> int:
    """Return the class of a size, by which durations are learned apart: its number of digits before the point, less one.

    So 0 to 9 are one class, 10 to 99 the next one. A size that is not a positive number is the smallest.
    """
    return 0 if not size >= 1 else LARGEST_CLASS if size >= 10**LARGEST_CLASS else len(str(int(size))) - 1


@dataclass(frozen=True, slots=True)
class Durations:
    """A count of jobs by bucket. Merging adds the counts, so the order of merging does not matter."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Durations:
        """Count jobs that took so many seconds each."""
        return cls(Counter(map(bucket_of, seconds)))

    @classmethod
    def from_json(cls, text: str) -> Durations:
        """Read what `to_json` wrote. Raises `ValueError` for anything else."""
        found = json.loads(text)
        if not isinstance(found, dict) or not all(type(count) is int for count in found.values()):
            raise ValueError("These are not counts of durations.")
        counts = {int(bucket): count for bucket, count in found.items()}
        if not all(0 <= bucket < BUCKETS and count > 0 for bucket, count in counts.items()):
            raise ValueError("These are not counts of durations.")
        return cls(counts)

    def to_json(self) -> str:
        """Return one JSON object: at most 10 bytes a bucket and 250 buckets; a few hundred bytes for most job types."""
        return json.dumps({str(bucket): self.counts[bucket] for bucket in sorted(self.counts)}, separators=(",", ":"))

    @property
    def total(self) -> int:
        """The number of jobs; once some have faded, the number that they weigh as much as."""
        return sum(self.counts.values())

    def merged(self, other: Durations) -> Durations:
        """Add the other's counts."""
        return Durations(Counter(self.counts) + Counter(other.counts))

    def faded(self) -> Durations:
        """Keep the shape with at most twice MEMORY jobs, so that new jobs can change it."""
        durations = self
        while durations.total > 2 * MEMORY:
            durations = durations._halved()
        return durations

    def longer_than(self, seconds: float) -> Durations:
        """Keep the jobs that took longer. All jobs of a bucket count as long as its middle."""
        return Durations({bucket: count for bucket, count in self.counts.items() if middle_of(bucket) > seconds})

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share (0 to 1) of the jobs ended. Raises `ValueError` when there are none."""
        wanted, seen = share * self.total, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return middle_of(bucket)
        raise ValueError("There are no durations yet.")

    def share_within(self, seconds: float) -> float:
        """Return the share (0 to 1) of the jobs that certainly took no longer. Below SHORTEST nothing is certain."""
        return self._share(bucket for bucket in self.counts if end_of(bucket) <= seconds)

    def share_beyond(self, seconds: float) -> float:
        """Return the share (0 to 1) of the jobs that certainly took longer."""
        return self._share(bucket for bucket in self.counts if bucket > 0 and end_of(bucket - 1) >= seconds)

    def _share(self, buckets: Iterable[int]) -> float:
        return sum(self.counts[bucket] for bucket in buckets) / max(self.total, 1)

    def _halved(self) -> Durations:
        halves: dict[int, int] = {}
        rest = 0
        for bucket in sorted(self.counts):
            # An odd job is carried to the next bucket: single jobs far apart fade no faster than many together.
            half, rest = divmod(self.counts[bucket] + rest, 2)
            if half:
                halves[bucket] = half
        return Durations(halves)


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration."""
    if seconds <= SHORTEST:
        return 0
    return min(1 + int(math.log(seconds / SHORTEST, GROWTH)), BUCKETS - 1)


def end_of(bucket: int) -> float:
    """Return the seconds at which the bucket ends and the next one begins."""
    return SHORTEST * GROWTH**bucket


def middle_of(bucket: int) -> float:
    """Return the seconds with the smallest relative error for any duration in the bucket."""
    return SHORTEST / 2 if bucket == 0 else 2 * end_of(bucket) / (1 + GROWTH)
