"""The index: one SQLite file with full-text tables (FTS5). It is built aside, and never changed where searches read it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asyncjobs import Fatal

VERSION = 1
"""Of the tables. An index of another version has to be built again."""
_TABLES = f"""
PRAGMA user_version = {VERSION};
CREATE TABLE documents (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL, first_page INTEGER);
CREATE VIRTUAL TABLE subjects USING fts5 (title, subject, keywords, tokenize = "unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE pages USING fts5 (text, document UNINDEXED, number UNINDEXED, tokenize = "unicode61 remove_diacritics 2");
"""
_SNIPPET_WORDS = 24
_SNIPPET_LENGTH = 500
"""Characters. Between two words there may be a page of spaces, and a word may be as long as its document."""
_TERM = re.compile(r'"[^"]*"|[^\s"]+')


@dataclass(frozen=True)
class Document:
    """A document to add. `pages` are read while it is added, each with its number."""

    key: str
    title: str
    pages: Iterable[tuple[int, str]]
    subject: str = ""
    keywords: str = ""


@dataclass(frozen=True)
class Found:
    """A page with all words of a search, or the first page of a document about a subject."""

    key: str
    title: str
    page: int
    snippet: str


class Index:
    """An open index. Use it in a `with`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create an empty index. Raises `Fatal` (`NO_FULL_TEXT_SEARCH`) where SQLite has no FTS5."""
        connection = sqlite3.connect(path)
        try:
            connection.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            connection.close()
            raise Fatal(
                f"SQLite {sqlite3.sqlite_version} of this runtime has no FTS5. Deploy with python3.12 or later.",
                code="NO_FULL_TEXT_SEARCH",
            ) from error
        return cls(connection)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = True) -> Self:
        """Open an index. Raises `Fatal` (`INDEX_OUTDATED`) for one of another version, or a damaged one."""
        options = "?mode=ro&immutable=1" if read_only else "?mode=rw"
        connection = sqlite3.connect(path.as_uri() + options, uri=True)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError:
            version = None
        if version != VERSION:
            connection.close()
            raise Fatal("The index is of another release. Build it again: POST /jobs/cache/refresh.", code="INDEX_OUTDATED")
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    # ── Writing ────────────────────────────────────────────────────────────────────────────────────────

    def add(self, document: Document) -> int:
        """Add the document and return the number of its pages. If a page cannot be read, nothing of it is added."""
        first_page, pages = None, 0
        with self._connection as transaction:
            added = transaction.execute(
                "INSERT INTO documents (key, title) VALUES (?, ?)", (document.key, _storable(document.title))
            )
            about = map(_storable, (document.title, document.subject, document.keywords))
            transaction.execute(
                "INSERT INTO subjects (rowid, title, subject, keywords) VALUES (?, ?, ?, ?)", (added.lastrowid, *about)
            )
            for number, text in document.pages:
                page = transaction.execute(
                    "INSERT INTO pages (text, document, number) VALUES (?, ?, ?)", (_storable(text), added.lastrowid, number)
                )
                first_page, pages = first_page or page.lastrowid, pages + 1
            transaction.execute("UPDATE documents SET first_page = ? WHERE id = ?", (first_page, added.lastrowid))
        return pages

    def finish(self) -> None:
        """Merge what was added into one tree, which searches read faster."""
        self._connection.execute("INSERT INTO subjects (subjects) VALUES ('optimize')")
        self._connection.execute("INSERT INTO pages (pages) VALUES ('optimize')")
        self._connection.commit()
        self._connection.execute("VACUUM")

    # ── Reading ────────────────────────────────────────────────────────────────────────────────────────

    def keys(self) -> set[str]:
        """Return the keys of all documents."""
        return {key for (key,) in self._connection.execute("SELECT key FROM documents")}

    def count_pages(self) -> int:
        """Return the number of pages of all documents."""
        return self._count("SELECT count(*) FROM pages")

    def search(self, query: str, *, limit: int) -> tuple[list[Found], int]:
        """Return the best pages that have all terms of the query, and the number of all such pages.

        A term is a word, a beginning of words (`lea*`), or a `"phrase"`.
        """
        expression = _expression(query)
        found = self._connection.execute(
            "SELECT key, title, number, snippet(pages, 0, '', '', '…', ?) FROM pages"
            " JOIN documents ON documents.id = pages.document WHERE pages MATCH ? ORDER BY rank LIMIT ?",
            (_SNIPPET_WORDS, expression, limit),
        )
        hits = [Found(key, title, page, _shortened(snippet)) for key, title, page, snippet in found]
        return hits, self._count("SELECT count(*) FROM pages WHERE pages MATCH ?", expression)

    def about(self, subject: str, *, limit: int) -> tuple[list[Found], int]:
        """Return the documents whose title, subject or keywords have all terms, with their first page, and their number."""
        expression = _expression(subject)
        found = self._connection.execute(
            "SELECT key, documents.title, coalesce(number, 0), coalesce(substr(text, 1, 200), '') FROM subjects"
            " JOIN documents ON documents.id = subjects.rowid"
            " LEFT JOIN pages ON pages.rowid = documents.first_page"
            " WHERE subjects MATCH ? ORDER BY subjects.rank LIMIT ?",
            (expression, limit),
        )
        return [Found(*row) for row in found], self._count("SELECT count(*) FROM subjects WHERE subjects MATCH ?", expression)

    def _count(self, statement: str, *parameters: str) -> int:
        (count,) = self._connection.execute(statement, parameters).fetchone()
        return int(count)


@contextmanager
def building(path: Path) -> Iterator[Index]:
    """Create an index in an empty file, and finish it at the end of the block."""
    with Index.create(path) as index:
        yield index
        index.finish()


def _shortened(snippet: str) -> str:
    return snippet if len(snippet) <= _SNIPPET_LENGTH else f"{snippet[:_SNIPPET_LENGTH].rstrip()}…"


def _expression(query: str) -> str:
    """Return the query in the language of FTS5. Each term is quoted, so that no text is an operator or a mistake of syntax."""
    terms = []
    for term in _TERM.findall(_storable(query)):
        word, is_beginning = (term[:-1], True) if term.endswith("*") else (term.strip('"'), False)
        terms.append(f'"{word}"' + (" *" if is_beginning else ""))
    return " ".join(terms) or '""'


def _storable(text: str) -> str:
    """Return the text without NUL, which ends a text in SQLite."""
    return text.replace("\0", " ")
