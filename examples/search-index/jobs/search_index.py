"""A full-text index over the caller's uploads: two jobs build it, one extends it, two search it.

A writer builds the index in a file of its own, and publishes it whole in one step. So searches read the earlier index
until then, and a writer that dies leaves it. One lock lets one writer of an owner run at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from asyncjobs import Exclusive, Fatal, JobContext, job
from jobs.search_index_file import Found, Index, building
from jobs.search_index_text import read_upload

INDEX = "search-index/index.sqlite"
"""The file of the owner's, which a writer replaces and searches read."""
MAX_DOCUMENTS = 2_000
MAX_INDEX = 100_000_000
"""Bytes. A search reads the whole file."""
SECONDS_TO_PUBLISH = 60
"""The rest of an attempt's time in which it reads no further upload."""
_WRITERS = Exclusive("search.index", scope="OWNER")


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid")


class Nothing(_Wire):
    """No members."""


class Depth(_Wire):
    """How many pages of each document to read: with few, the index of many long documents is built quickly."""

    depth: int = Field(ge=1, le=5_000, strict=True)


# JSON Schema's and pydantic's regular expressions disagree on whether these two are space.
Query = Annotated[str, Field(min_length=1, max_length=200, pattern=r"[^\s\u0085\uFEFF]", strict=True)]


class Search(_Wire):
    """The words to search for: all have to be on a page. `lea*` is a beginning, and a text in double quotes is a phrase."""

    q: Query = Field(examples=["lease"])
    limit: int = Field(default=10, ge=1, le=100, strict=True)


class Subject(_Wire):
    """The subject to search for, in titles, subjects and keywords of documents."""

    subject: Query
    limit: int = Field(default=10, ge=1, le=100, strict=True)


class Skipped(_Wire):
    """An upload that is not in the index, and why."""

    key: str
    code: str
    message: str


class Published(_Wire):
    """What the published index has."""

    status: Literal["success"] = "success"
    message: str
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    documents: int
    pages: int
    skipped: list[Skipped]


class Hit(_Wire):
    """A page that was found, with words around the first occurrence."""

    key: str
    title: str
    page: int
    snippet: str


class Hits(_Wire):
    """The best hits, and the number of all."""

    results: list[Hit]
    total: int


# ── Writers ────────────────────────────────────────────────────────────────────────────────────────────


@job(
    "refreshcache",
    expected_seconds=20,
    timeout_seconds=600,
    exclusive=_WRITERS,
    route="POST /jobs/cache/refresh",
    synchronous_route="POST /cache",
)
def refresh_cache(input: Nothing, context: JobContext) -> Published:  # noqa: ARG001 - a job has both arguments
    """Build the index of all your uploads, in place of the earlier one."""
    return _refreshed(context, depth=None, message="Cache refreshed successfully")


@job(
    "refreshref",
    expected_seconds=10,
    timeout_seconds=600,
    exclusive=_WRITERS,
    route="POST /jobs/cache/refresh/{depth}",
    synchronous_route="POST /cache/{depth}",
)
def refresh_ref(input: Depth, context: JobContext) -> Published:
    """Build the index of the first pages of all your uploads, in place of the earlier one."""
    return _refreshed(context, depth=input.depth, message=f"Cache refreshed successfully to depth {input.depth}")


@job(
    "uploadall",
    expected_seconds=10,
    timeout_seconds=600,
    exclusive=_WRITERS,
    route="POST /jobs/cache/upload",
    synchronous_route="PUT /cache",
)
def upload_all(input: Nothing, context: JobContext) -> Published:  # noqa: ARG001 - a job has both arguments
    """Add those of your uploads to the index that it does not have yet."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        if not _is_fetched(context, path):
            with building(path):
                pass
        with Index.open(path, read_only=False) as index:
            known = index.keys()
            skipped = _add(index, [key for key in _uploads(context) if key not in known], context, depth=None)
            index.finish()
        return _published(path, context, skipped, message="All uploads added successfully")


def _refreshed(context: JobContext, *, depth: int | None, message: str) -> Published:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        with building(path) as index:
            skipped = _add(index, _uploads(context), context, depth=depth)
        return _published(path, context, skipped, message=message)


def _uploads(context: JobContext) -> Sequence[str]:
    """Return the keys of the uploads, newest first."""
    newest = sorted(context.uploads(), key=lambda upload: (upload.uploaded_at, upload.key), reverse=True)
    return [upload.key for upload in newest]


def _add(index: Index, keys: Sequence[str], context: JobContext, *, depth: int | None) -> list[Skipped]:
    """Add the uploads and return those that could not be added."""
    skipped = []
    room = MAX_DOCUMENTS - len(index.keys())
    for number, key in enumerate(keys):
        if number >= room:
            skipped.append(_skipped(key, "TOO_MANY_DOCUMENTS", f"An index has {MAX_DOCUMENTS} documents. Delete others first."))
            continue
        if context.remaining_seconds < SECONDS_TO_PUBLISH:
            skipped.append(_skipped(key, "NOT_REACHED", "The time was over. Add it with POST /jobs/cache/upload."))
            continue
        context.progress(90 * number / len(keys), f"Reading upload {number + 1} of {len(keys)}")
        try:
            with read_upload(key, context, depth=depth) as document:
                index.add(document)
        except Fatal as error:
            skipped.append(_skipped(key, error.code, error.message))
    return skipped


def _skipped(key: str, code: str, message: str) -> Skipped:
    return Skipped(key=key, code=code, message=message)


def _published(path: Path, context: JobContext, skipped: list[Skipped], *, message: str) -> Published:
    """Publish the index in one step, and return what it has."""
    if path.stat().st_size > MAX_INDEX:
        raise Fatal(
            f"The index is larger than {MAX_INDEX // 1_000_000} MB. Delete uploads, or refresh with a depth.",
            code="INDEX_TOO_LARGE",
        )
    with Index.open(path) as index:
        published = Published(message=message, documents=len(index.keys()), pages=index.count_pages(), skipped=skipped)
    # An attempt that was cancelled or taken over ends here, and publishes nothing.
    context.progress(95, "Publishing the index")
    with path.open("rb") as file:
        context.save_file(INDEX, file)
    return published


# ── Searches ───────────────────────────────────────────────────────────────────────────────────────────


@job(
    "search",
    expected_seconds=0.3,
    timeout_seconds=30,
    retention_seconds=24 * 3600,
    route="POST /jobs/search",
    synchronous_route="GET /search/uploads",
)
def search(input: Search, context: JobContext) -> Hits:
    """Find the pages of your uploads that have all these words."""
    return _found(context, lambda index: index.search(input.q, limit=input.limit))


@job(
    "subjectdata",
    expected_seconds=0.3,
    timeout_seconds=30,
    retention_seconds=24 * 3600,
    route="POST /jobs/search/subject/{subject}",
    synchronous_route="GET /search/subject/{subject}",
)
def subject_data(input: Subject, context: JobContext) -> Hits:
    """Find your uploads about a subject."""
    return _found(context, lambda index: index.about(input.subject, limit=input.limit))


def _found(context: JobContext, search: Callable[[Index], tuple[list[Found], int]]) -> Hits:
    with _fetched(context) as index:
        found, total = search(index)
    results = [Hit(key=each.key, title=each.title, page=each.page, snippet=each.snippet) for each in found]
    return Hits(results=results, total=total)


@contextmanager
def _fetched(context: JobContext) -> Iterator[Index]:
    """Open a copy of the published index."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        if not _is_fetched(context, path):
            raise Fatal("You have no index yet. Build it: POST /jobs/cache/refresh.", code="NO_INDEX")
        with Index.open(path) as index:
            yield index


def _is_fetched(context: JobContext, path: Path) -> bool:
    """Copy the published index to this path, and return whether there is one."""
    with suppress(Fatal), context.open_file(INDEX) as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        return True
    return False
