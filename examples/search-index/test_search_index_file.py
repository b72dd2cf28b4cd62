"""The index is a real full-text index: FTS5 of the runtime's SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncjobs import Fatal
from jobs import search_index_file
from jobs.search_index_file import Document, Index, building

LEASES = Document(key="uploads/1", title="Leases", subject="Locks", pages=[(1, "A lease is a lock with an end."), (2, "Ends.")])
QUEUES = Document(key="uploads/2", title="Queues", keywords="messages, order", pages=[(1, "A message may arrive twice.")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "index.sqlite"
    with building(path) as index:
        assert index.add(LEASES) == 2
        assert index.add(QUEUES) == 1
    return path


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    with Index.open(path) as index:
        yield index


def keys(index: Index, query: str) -> list[tuple[str, int]]:
    return [(found.key, found.page) for found in index.search(query, limit=10)[0]]


def test_page_is_found_by_its_words_in_any_order_and_case(index: Index) -> None:
    (found,), total = index.search("LOCK lease", limit=10)
    assert (found.key, found.title, found.page, total) == ("uploads/1", "Leases", 1, 1)
    assert found.snippet == "A lease is a lock with an end."


@pytest.mark.parametrize("rest", [" " * 100_000 + "end", "x" * 100_000], ids=["spaces", "a long word"])
def test_snippet_is_short_whatever_the_page_has(tmp_path: Path, rest: str) -> None:
    with building(tmp_path / "other.sqlite") as index:
        index.add(Document(key="uploads/3", title="Long", pages=[(1, f"the lease {rest}")]))
        (found,), _ = index.search("lease", limit=1)
    assert found.snippet.startswith("the lease")
    assert found.snippet.endswith("…")
    assert len(found.snippet) <= 501


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lease", [("uploads/1", 1)]),
        ("lease twice", []),
        ("leas*", [("uploads/1", 1)]),
        ("leas", []),
        ('"lock with an end"', [("uploads/1", 1)]),
        ('"end an with lock"', []),
        ("twice", [("uploads/2", 1)]),
        ("lease OR twice", []),
        ("lease NOT lock", []),
        ("text:lease", []),
        ("!!!", []),
        ('"', []),
        ('lease"', [("uploads/1", 1)]),
        ("(lease", [("uploads/1", 1)]),
        ("lease\0", [("uploads/1", 1)]),
        ("*", []),
    ],
)
def test_query_is_words_and_never_a_language(index: Index, query: str, expected: list[tuple[str, int]]) -> None:
    assert keys(index, query) == expected


def test_accents_make_no_difference(tmp_path: Path) -> None:
    with building(tmp_path / "index.sqlite") as index:
        index.add(Document(key="uploads/3", title="", pages=[(1, "Schließfächer für Müller")]))
        assert keys(index, "muller facher*") == []
        assert keys(index, "muller schließfacher") == [("uploads/3", 1)]


def test_best_hits_come_first_and_all_are_counted(tmp_path: Path) -> None:
    with building(tmp_path / "index.sqlite") as index:
        for number in range(5):
            index.add(Document(key=str(number), title="", pages=[(1, "lease " * number + "and other words " * 9)]))
        found, total = index.search("lease", limit=2)
    assert ([each.key for each in found], total) == (["4", "3"], 4)


@pytest.mark.parametrize("subject", ["leases", "locks", "lock*"])
def test_document_is_found_by_its_subject(index: Index, subject: str) -> None:
    (found,), total = index.about(subject, limit=10)
    assert (found.key, found.page, found.snippet, total) == ("uploads/1", 1, "A lease is a lock with an end.", 1)


def test_words_of_a_page_are_no_subject(index: Index) -> None:
    assert index.about("arrive", limit=10) == ([], 0)
    assert [found.key for found in index.about("order", limit=10)[0]] == ["uploads/2"]


def test_document_without_pages_has_its_subject(tmp_path: Path) -> None:
    with building(tmp_path / "index.sqlite") as index:
        assert index.add(Document(key="uploads/3", title="Empty", pages=[])) == 0
        (found,), _ = index.about("empty", limit=1)
    assert (found.page, found.snippet) == (0, "")


def test_document_whose_page_cannot_be_read_is_not_added(tmp_path: Path) -> None:
    def pages() -> Iterator[tuple[int, str]]:
        yield 1, "a page that can be read"
        raise Fatal("broken", code="BROKEN_PDF")

    with building(tmp_path / "index.sqlite") as index:
        with pytest.raises(Fatal):
            index.add(Document(key="uploads/3", title="Broken", pages=pages()))
        index.add(LEASES)
        assert index.keys() == {"uploads/1"}
        assert keys(index, "page") == []
        assert index.about("broken", limit=1) == ([], 0)


def test_index_that_is_searched_cannot_be_written(index: Index) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        index.add(QUEUES)


def test_index_is_extended(path: Path) -> None:
    with Index.open(path, read_only=False) as index:
        index.add(Document(key="uploads/3", title="More", pages=[(1, "another lease")]))
        index.finish()
    with Index.open(path) as index:
        assert index.keys() == {"uploads/1", "uploads/2", "uploads/3"}
        assert index.count_pages() == 4
        assert {key for key, _ in keys(index, "lease")} == {"uploads/1", "uploads/3"}


@pytest.mark.parametrize("read_only", [True, False])
def test_index_of_another_version_is_fatal(path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool) -> None:
    monkeypatch.setattr(search_index_file, "VERSION", 2)
    with pytest.raises(Fatal) as raised:
        Index.open(path, read_only=read_only)
    assert raised.value.code == "INDEX_OUTDATED"


def test_damaged_index_is_fatal(path: Path) -> None:
    path.write_bytes(b"no database" + path.read_bytes()[11:])
    with pytest.raises(Fatal) as raised:
        Index.open(path)
    assert raised.value.code == "INDEX_OUTDATED"


def test_runtime_without_fts5_is_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index_file, "_TABLES", "CREATE VIRTUAL TABLE pages USING fts6 (text);")
    with pytest.raises(Fatal) as raised:
        Index.create(tmp_path / "index.sqlite")
    assert raised.value.code == "NO_FULL_TEXT_SEARCH"
