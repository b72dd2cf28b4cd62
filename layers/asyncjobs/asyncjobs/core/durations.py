"""How long the jobs of a type take: a histogram with buckets of equal relative width, in which old jobs fade."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GROWTH = 1.05
"""From one bucket's end to the next one's: whatever is read from the middle of a bucket is wrong by 2.5 % at most."""

SHORTEST = 0.5
"""Seconds. The first bucket holds everything up to here: `Retry-After` counts whole seconds, so nothing finer is of use."""

LONGEST = 86_400.0
"""Seconds. The last bucket, which ends here, also holds what took longer: a job ends within a day of its submit."""

BUCKETS = 2 + math.ceil(math.log(LONGEST / SHORTEST, GROWTH))

MEMORY = 200
"""Jobs. Above twice as many all counts are halved, so the last MEMORY jobs or so weigh as much as all before them."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How many jobs took how long: a count by bucket. Merging adds up, so any order of merging gives the same."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Durations:
        """The jobs that took so long."""
        return cls(Counter(map(bucket_of, seconds)))

    @classmethod
    def from_json(cls, text: str) -> Durations:
        """What `to_json` wrote. Raises `ValueError` for anything else."""
        found = json.loads(text)
        if not isinstance(found, dict) or not all(type(count) is int for count in found.values()):
            raise ValueError("These are no counts of durations.")
        counts = {int(bucket): count for bucket, count in found.items()}
        if not all(0 <= bucket < BUCKETS and count > 0 for bucket, count in counts.items()):
            raise ValueError("These are no counts of durations.")
        return cls(counts)

    def to_json(self) -> str:
        """One JSON object, 10 bytes at most for each of at most 250 buckets; a few hundred bytes for most job types."""
        return json.dumps({str(bucket): self.counts[bucket] for bucket in sorted(self.counts)}, separators=(",", ":"))

    @property
    def total(self) -> int:
        """How many jobs they are; once some have faded, how many they weigh as much as."""
        return sum(self.counts.values())

    def merged(self, other: Durations) -> Durations:
        """Both together."""
        return Durations(Counter(self.counts) + Counter(other.counts))

    def faded(self) -> Durations:
        """The same shape with at most twice MEMORY jobs, so that jobs to come can change it."""
        durations = self
        while durations.total > 2 * MEMORY:
            durations = durations._halved()
        return durations

    def quantile(self, share: float) -> float:
        """Seconds within which this share (0 to 1) of the jobs had ended; off by 2.5 % at most. Raises `ValueError` without any."""
        wanted, seen = share * self.total, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return middle_of(bucket)
        raise ValueError("There are no durations yet.")

    def share_within(self, seconds: float) -> float:
        """The share (0 to 1) of the jobs that are known to have taken no longer. Nothing is known of less than SHORTEST."""
        return self._share(bucket for bucket in self.counts if end_of(bucket) <= seconds)

    def share_beyond(self, seconds: float) -> float:
        """The share (0 to 1) of the jobs that are known to have taken longer."""
        return self._share(bucket for bucket in self.counts if bucket > 0 and end_of(bucket - 1) >= seconds)

    def _share(self, buckets: Iterable[int]) -> float:
        return sum(self.counts[bucket] for bucket in buckets) / max(self.total, 1)

    def _halved(self) -> Durations:
        halves: dict[int, int] = {}
        rest = 0
        for bucket in sorted(self.counts):
            # What halving leaves over goes on to the next bucket: single jobs far apart fade no faster than many together.
            half, rest = divmod(self.counts[bucket] + rest, 2)
            if half:
                halves[bucket] = half
        return Durations(halves)


def bucket_of(seconds: float) -> int:
    """The bucket that a duration falls into."""
    if seconds <= SHORTEST:
        return 0
    return min(1 + int(math.log(seconds / SHORTEST, GROWTH)), BUCKETS - 1)


def end_of(bucket: int) -> float:
    """Seconds at which the bucket ends and the next one begins."""
    return SHORTEST * GROWTH**bucket


def middle_of(bucket: int) -> float:
    """The duration, in seconds, that is wrong by the least for whatever is in the bucket."""
    return SHORTEST / 2 if bucket == 0 else 2 * end_of(bucket) / (1 + GROWTH)
