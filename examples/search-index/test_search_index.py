"""The jobs of the index: two build it, one extends it, two search it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from asyncjobs import Fatal, JobCancelled
from asyncjobs.testing import FakeContext
from jobs import search_index
from jobs.search_index import (
    INDEX,
    Depth,
    Hits,
    Nothing,
    Search,
    Subject,
    refresh_cache,
    refresh_ref,
    search,
    subject_data,
    upload_all,
)
from local.samples import pdfs, raw_pdf

REPORT, NOTE, BROKEN, LATER = (f"uploads/{uuid.UUID(int=number, version=4)}" for number in range(4))
TEXT = b"# Leases\n\nA lease is a lock with an end.\fSecond page about queues."


UPLOADS = {REPORT: pdfs.report(), NOTE: TEXT, BROKEN: b"\xff"}


@pytest.fixture
def context() -> FakeContext:
    return FakeContext(inputs=UPLOADS)


def found(context: FakeContext, q: str) -> list[tuple[str, int]]:
    return [(hit.key, hit.page) for hit in search(Search(q=q), context).results]


def test_refresh_publishes_an_index_of_all_uploads(context: FakeContext) -> None:
    published = refresh_cache(Nothing(), context)
    assert (published.status, published.message) == ("success", "Cache refreshed successfully")
    assert (published.documents, published.pages) == (2, pdfs.REPORT_PAGES + 2)
    assert [(skipped.key, skipped.code) for skipped in published.skipped] == [(BROKEN, "NOT_A_TEXT")]
    assert found(context, "lease lock") == [(NOTE, 1)]
    assert found(context, '"conversation"')[0] == (REPORT, 1)


def test_result_has_the_members_that_the_interface_documents(context: FakeContext) -> None:
    result = refresh_cache(Nothing(), context).model_dump(mode="json")
    assert result["timestamp"].endswith("Z")
    assert len(result["timestamp"]) == len("2024-01-01T12:00:00Z")


def test_progress_names_each_upload(context: FakeContext) -> None:
    refresh_cache(Nothing(), context)
    assert [message for _, message in context.reports] == [
        "Reading upload 1 of 3",
        "Reading upload 2 of 3",
        "Reading upload 3 of 3",
        "Publishing the index",
    ]
    percents = [percent for percent, _ in context.reports]
    assert percents == sorted(percents)


def test_refresh_with_a_depth_reads_the_first_pages(context: FakeContext) -> None:
    published = refresh_ref(Depth(depth=1), context)
    assert (published.documents, published.pages) == (2, 2)
    assert found(context, "queues") == []


def test_upload_adds_what_the_index_does_not_have(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh_cache(Nothing(), context)
    context.inputs = {**UPLOADS, LATER: b"A later text."}
    read: list[str] = []
    open_input = context.open_input

    def noted(key: str) -> BinaryIO:
        read.append(key)
        return open_input(key)

    monkeypatch.setattr(context, "open_input", noted)
    published = upload_all(Nothing(), context)
    assert (published.documents, published.message) == (3, "All uploads added successfully")
    assert set(read) == {LATER, BROKEN}
    assert found(context, "later text") == [(LATER, 1)]
    assert found(context, "lease") == [(NOTE, 1)]


def test_upload_builds_the_first_index(context: FakeContext) -> None:
    assert upload_all(Nothing(), context).documents == 2
    assert found(context, "lease") == [(NOTE, 1)]


def test_refresh_forgets_deleted_uploads(context: FakeContext) -> None:
    refresh_cache(Nothing(), context)
    context.delete_upload(NOTE)
    assert found(context, "lease") == [(NOTE, 1)]
    refresh_cache(Nothing(), context)
    assert found(context, "lease") == []


def test_subject_finds_documents_by_their_titles(context: FakeContext) -> None:
    refresh_cache(Nothing(), context)
    hits = subject_data(Subject(subject="leases"), context)
    assert [(hit.key, hit.title) for hit in hits.results] == [(NOTE, "Leases")]
    assert subject_data(Subject(subject="queues"), context).total == 0


@pytest.mark.parametrize(
    "searches",
    [lambda context: search(Search(q="x"), context), lambda context: subject_data(Subject(subject="x"), context)],
    ids=["search", "subject"],
)
def test_search_without_an_index_says_what_to_do(searches: Callable[[FakeContext], Hits]) -> None:
    with pytest.raises(Fatal) as raised:
        searches(FakeContext())
    assert (raised.value.code, "POST /jobs/cache/refresh" in raised.value.message) == ("NO_INDEX", True)


def test_index_without_uploads_finds_nothing() -> None:
    context = FakeContext()
    assert refresh_cache(Nothing(), context).documents == 0
    assert found(context, "lease") == []


def test_uploads_beyond_the_limit_are_named(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "MAX_DOCUMENTS", 1)
    assert {skipped.code for skipped in refresh_cache(Nothing(), context).skipped} == {"NOT_A_TEXT", "TOO_MANY_DOCUMENTS"}


def test_uploads_for_which_there_is_no_time_are_named() -> None:
    published = refresh_cache(Nothing(), FakeContext(inputs=UPLOADS, remaining_seconds=59))
    assert {skipped.code for skipped in published.skipped} == {"NOT_REACHED"}


def test_index_that_is_too_large_is_not_published(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "MAX_INDEX", 1000)
    with pytest.raises(Fatal) as raised:
        refresh_cache(Nothing(), context)
    assert (raised.value.code, context.files) == ("INDEX_TOO_LARGE", {})


def test_writer_that_was_cancelled_publishes_nothing(context: FakeContext) -> None:
    @dataclass
    class CancelledAtTheEnd(FakeContext):
        def progress(self, percent: float, message: str | None = None) -> None:
            if message == "Publishing the index":
                raise JobCancelled

    refresh_cache(Nothing(), context)
    cancelled = CancelledAtTheEnd(inputs={LATER: b"later"}, files=context.files)
    before = dict(context.files)
    with pytest.raises(JobCancelled):
        refresh_cache(Nothing(), cancelled)
    assert cancelled.files == before


def test_searches_read_the_published_index_while_the_next_one_is_built(context: FakeContext) -> None:
    seen: list[list[tuple[str, int]]] = []

    @dataclass
    class Searched(FakeContext):
        def progress(self, percent: float, message: str | None = None) -> None:
            seen.append(found(self, "lease"))

    refresh_cache(Nothing(), context)
    writer = Searched(inputs={LATER: b"another lease"}, files=context.files)
    refresh_cache(Nothing(), writer)
    assert seen == [[(NOTE, 1)], [(NOTE, 1)]]
    assert found(writer, "lease") == [(LATER, 1)]


# ── A writer that dies ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Disk(FakeContext):
    """A context whose files are in a folder, so that they outlive its process."""

    folder: Path = Path()

    def open_file(self, name: str) -> BinaryIO:
        """Open a file of the folder."""
        if not (self.folder / "index").exists():
            raise Fatal("missing", code="FILE_MISSING")
        return (self.folder / "index").open("rb")

    def save_file(self, name: str, file: BinaryIO) -> None:
        """Save a file in the folder."""
        (self.folder / "index").write_bytes(file.read())


class Killed(Disk):
    """A context whose process is killed when its job publishes."""

    def save_file(self, name: str, file: BinaryIO) -> None:
        """Note what was built, and die."""
        assert name == INDEX
        (self.folder / "built").write_bytes(file.read())
        os.kill(os.getpid(), signal.SIGKILL)


def test_writer_that_is_killed_between_build_and_publish_leaves_the_earlier_index(tmp_path: Path) -> None:
    before = Disk(inputs={NOTE: TEXT}, folder=tmp_path)
    refresh_cache(Nothing(), before)
    dies = f"""
import sys
sys.path[:0] = {sys.path!r}
import jobs
jobs.__path__ += {[str(Path(str(search_index.__file__)).parent)]!r}
from pathlib import Path
from test_search_index import LATER, Killed
from jobs.search_index import Nothing, refresh_cache
refresh_cache(Nothing(), Killed(inputs={{LATER: b"another lease"}}, folder=Path({str(tmp_path)!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", dies], cwd=Path(__file__).parent, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert b"another lease" in (tmp_path / "built").read_bytes()
    assert found(before, "lease") == [(NOTE, 1)]
    after = Disk(inputs={LATER: b"another lease"}, folder=tmp_path)
    refresh_cache(Nothing(), after)
    assert found(after, "lease") == [(LATER, 1)]


def test_long_documents_are_indexed_page_by_page() -> None:
    context = FakeContext(inputs={REPORT: raw_pdf.long_report(pages=40)})
    assert refresh_cache(Nothing(), context).pages == 40
    assert search(Search(q='"Day 40"'), context).results[0].page == 40
