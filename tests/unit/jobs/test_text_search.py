"""`text.search` on the handbook that ships with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from asyncjobs import JobCancelled
from asyncjobs.testing import FakeContext
from jobs import text_search
from jobs.text_search import SearchInput, SearchOutput, search

CHAPTERS = sorted(text_search.CORPUS.glob("*.md"))


def run(query: str, *, context: FakeContext | None = None, **options: Any) -> SearchOutput:
    return asyncio.run(search(SearchInput(query=query, **options), context or FakeContext()))


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the handbook by an empty corpus."""
    monkeypatch.setattr(text_search, "CORPUS", tmp_path)
    return tmp_path


def test_every_line_with_the_query_is_found() -> None:
    expected = [
        (chapter.name, number)
        for chapter in CHAPTERS
        for number, line in enumerate(chapter.read_text(encoding="utf-8").split("\n"), start=1)
        if "lease" in line.lower()
    ]

    output = run("lease", limit=100)

    assert [(match.file, match.line) for match in output.matches] == expected
    assert output.match_count == len(expected) > 0
    assert output.files_searched == len(CHAPTERS)


def test_case_is_ignored_by_default(corpus: Path) -> None:
    (corpus / "a.md").write_text("Lease\nlease\nLEASE\n")

    assert [match.line for match in run("lease").matches] == [1, 2, 3]
    assert [match.line for match in run("lease", case_sensitive=True).matches] == [2]


def test_query_is_not_a_pattern(corpus: Path) -> None:
    (corpus / "a.md").write_text("what (a.b)* means\nwhat axb means\n")

    assert [match.line for match in run("(a.b)*").matches] == [1]


def test_snippet_is_the_match_with_the_words_around_it(corpus: Path) -> None:
    (corpus / "a.md").write_text("before " * 40 + "needle" + " after" * 40 + "\nneedle alone\n")

    long, short = run("needle").matches

    assert len(long.snippet) < 200
    assert (long.snippet[0], long.snippet[-1]) == ("…", "…")
    assert "before needle after" in long.snippet
    assert short.snippet == "needle alone"


def test_limit_bounds_the_shown_matches_and_not_the_count(corpus: Path) -> None:
    (corpus / "a.md").write_text("needle\n" * 7)

    output = run("needle", limit=3)

    assert ([match.line for match in output.matches], output.match_count) == ([1, 2, 3], 7)


def test_query_without_a_match_succeeds() -> None:
    assert run("xylophone").match_count == 0


def test_progress_counts_the_files() -> None:
    context = FakeContext()

    run("job", context=context)

    assert [message for _, message in context.reports] == [f"Searching {chapter.name}" for chapter in CHAPTERS]
    assert [percent for percent, _ in context.reports] == [100 * n / len(CHAPTERS) for n in range(len(CHAPTERS))]


def test_cancelled_search_opens_no_further_file() -> None:
    context = FakeContext(interruption=JobCancelled())

    with pytest.raises(JobCancelled):
        run("job", context=context)
    assert len(context.reports) == 1


def test_searches_in_one_event_loop_take_turns() -> None:
    turns: list[str] = []

    @dataclass
    class Named(FakeContext):
        name: str = ""

        def progress(self, percent: float, message: str | None = None) -> None:
            turns.append(self.name)

    async def both() -> None:
        await asyncio.gather(*(search(SearchInput(query="job"), Named(name=name)) for name in "ab"))

    asyncio.run(both())

    # A search that blocked the loop would finish before the other began.
    assert turns[:2] == ["a", "b"]
    assert len(turns) == 2 * len(CHAPTERS)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"query": "\x85"}, False),
        ({"query": "\ufeff"}, False),
        ({"query": "backoff"}, True),
        ({"query": "backoff", "limit": 100, "caseSensitive": True}, True),
        ({}, False),
        ({"query": ""}, False),
        ({"query": "  "}, False),
        ({"query": "q" * 201}, False),
        ({"query": 7}, False),
        ({"query": "q", "limit": 0}, False),
        ({"query": "q", "limit": 101}, False),
        ({"query": "q", "limit": "5"}, False),
        ({"query": "q", "limit": True}, False),
        ({"query": "q", "caseSensitive": "yes"}, False),
        ({"query": "q", "folder": "/etc"}, False),
    ],
)
def test_schema_rejects_the_same_inputs_as_the_model(value: dict[str, Any], fits: bool) -> None:
    def is_valid_for_the_model() -> bool:
        try:
            SearchInput.model_validate(value)
        except ValidationError:
            return False
        return True

    validator = jsonschema_rs.validator_for(SearchInput.model_json_schema())

    assert (validator.is_valid(value), is_valid_for_the_model()) == (fits, fits)


def test_output_is_valid_for_its_schema() -> None:
    output = run("retry").model_dump(by_alias=True, mode="json")

    jsonschema_rs.validate(SearchOutput.model_json_schema(mode="serialization"), output)
    assert output["matchCount"] > 0
