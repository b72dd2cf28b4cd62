"""A context for the tests of a job, without AWS."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Self

from asyncjobs.core.errors import Fatal, JobInterrupted
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.named_events import MAX_EVENTS, checked_event, too_many_events
from asyncjobs.core.placement import UPLOADS, artifact_reference, check_artifact, is_file_name, is_upload_key
from asyncjobs.core.ports import StoredUpload

_UPLOADED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class CollectedResult:
    """A `ResultStream` that keeps the written bytes."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self._buffer = io.BytesIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def write(self, data: bytes, /) -> int:
        """Append the bytes."""
        return self._buffer.write(data)

    def getvalue(self) -> bytes:
        """Return all bytes that were written."""
        return self._buffer.getvalue()


class CollectedArtifact(CollectedResult):
    """An `ArtifactStream` that keeps the written bytes."""

    def __init__(self, name: str, content_type: str, number: int) -> None:
        super().__init__(content_type)
        self.name = name
        self.reference = artifact_reference(number)


@dataclass
class FakeContext:
    """A `JobContext` for one call of a job in a test. The next report raises `interruption`, if set."""

    async_job_id: str = "00000000-0000-4000-8000-000000000000"
    owner: str = "alice"
    attempt: int = 1
    max_attempts: int = 3
    remaining_seconds: float = 60.0
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    interruption: JobInterrupted | None = None
    reports: list[tuple[float, str | None]] = field(default_factory=list)
    artifacts: list[CollectedArtifact] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def effect_key(self) -> str:
        """The same on every attempt."""
        return f"{self.async_job_id}.test"

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """An ordinary logger."""
        return logging.LoggerAdapter(logging.getLogger("asyncjobs.job"), {})

    def progress(self, percent: float, message: str | None = None) -> None:
        """Append the report to `reports`."""
        self.reports.append((percent, message))
        self.check()

    def event(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Append the event to `events`. Raises `Fatal` as the worker does."""
        if len(self.events) == MAX_EVENTS:
            raise too_many_events()
        checked = checked_event(name, {} if data is None else data)
        self.events.append((checked.name, read_json(checked.data)))
        self.check()

    def check(self) -> None:
        """Raise `interruption`, if there is one."""
        if self.interruption is not None:
            raise self.interruption

    def stream_result(self, content_type: str = "application/json") -> CollectedResult:
        """Return a stream that keeps the written bytes."""
        return CollectedResult(content_type)

    def open_artifact(self, name: str, content_type: str) -> CollectedArtifact:
        """Return a file that keeps the written bytes, and append it to `artifacts`."""
        check_artifact(name, number=len(self.artifacts) + 1)
        self.artifacts.append(CollectedArtifact(name, content_type, len(self.artifacts) + 1))
        return self.artifacts[-1]

    def open_input(self, key: str) -> BinaryIO:
        """Open one of `inputs`."""
        if key not in self.inputs:
            raise Fatal(f"There is no object {key!r} in the inputs area.", code="INPUT_MISSING")
        return io.BytesIO(self.inputs[key])

    def uploads(self) -> Iterator[StoredUpload]:
        """Yield those of `inputs` that are uploads."""
        for key, data in sorted(self.inputs.items()):
            if key.startswith(UPLOADS):
                yield StoredUpload(key, len(data), _UPLOADED_AT)

    def delete_upload(self, key: str) -> None:
        """Remove one of `inputs`."""
        if not is_upload_key(key):
            raise Fatal(f"{key!r} is not the key of an upload.", code="NOT_AN_UPLOAD")
        self.inputs = {name: data for name, data in self.inputs.items() if name != key}

    def open_file(self, name: str) -> BinaryIO:
        """Open one of `files`."""
        if name not in self.files:
            raise Fatal(f"There is no file {name!r}.", code="FILE_MISSING")
        return io.BytesIO(self.files[name])

    def save_file(self, name: str, file: BinaryIO) -> None:
        """Keep the file in `files`."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not a name for a file.")
        self.files[name] = file.read()
