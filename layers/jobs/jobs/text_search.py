"""`text.search`: find words in the handbook in `corpus/`, as an example of an asynchronous job."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from asyncjobs import JobContext, job

CORPUS = Path(__file__).with_name("corpus")

_CONTEXT_CHARACTERS = 80


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class SearchInput(_Wire):
    """The query to search for: plain text, not a pattern."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Not \S: JSON Schema's and pydantic's regular expressions disagree on whether these two are space.
    query: str = Field(min_length=1, max_length=200, pattern=r"[^\s\u0085\uFEFF]", examples=["backoff"])
    limit: int = Field(default=20, ge=1, le=100, description="The number of matches to return; all are counted.")
    case_sensitive: bool = False


class Match(_Wire):
    """A line in which the query occurs, with the words around the first occurrence."""

    file: str
    line: int
    snippet: str


class SearchOutput(_Wire):
    """The first matches in reading order, and the number of all matches."""

    matches: list[Match]
    match_count: int
    files_searched: int


@job(
    "text.search",
    expected_seconds=0.2,
    timeout_seconds=30,
    max_attempts=3,
    retention_seconds=24 * 3600,
    route="POST /search",
    synchronous_route="GET /search",
)
async def search(input: SearchInput, context: JobContext) -> SearchOutput:
    """Find a text in the handbook of asynchronous jobs: file, line and the words around it.

    Reads one file at a time, in a thread: searches that share an event loop run concurrently, and each uses at most one
    thread.
    """
    pattern = re.compile(re.escape(input.query), re.NOFLAG if input.case_sensitive else re.IGNORECASE)
    files = sorted(CORPUS.glob("*.md"))
    matches: list[Match] = []
    for number, file in enumerate(files):
        context.progress(100 * number / len(files), f"Searching {file.name}")
        matches += await asyncio.to_thread(_matches, file, pattern)
    return SearchOutput(matches=matches[: input.limit], match_count=len(matches), files_searched=len(files))


def _matches(file: Path, pattern: re.Pattern[str]) -> list[Match]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [
        Match(file=file.name, line=number, snippet=_snippet(found))
        for number, line in enumerate(lines, start=1)
        if (found := pattern.search(line))
    ]


def _snippet(found: re.Match[str]) -> str:
    line = found.string
    start = max(0, found.start() - _CONTEXT_CHARACTERS)
    end = min(len(line), found.end() + _CONTEXT_CHARACTERS)
    return ("…" if start else "") + line[start:end].strip() + ("…" if end < len(line) else "")
