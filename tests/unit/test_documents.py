"""Links, anchors and test names in the documents lead somewhere."""

from __future__ import annotations

import pkgutil
import re
from importlib.metadata import version
from pathlib import Path

import aws_lambda_powertools
import pytest
from aws_lambda_powertools import utilities

from tests.support.programs import tracked_files

ROOT = Path(__file__).parents[2]
DOCUMENTS = [file for folder in (".", "docs", "events", "examples/*") for file in sorted(ROOT.glob(f"{folder}/*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_anchor_leads_to_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())
    missing = [(file, anchor) for file, anchor in links if anchor not in _anchors(document.parent / file if file else document)]
    assert missing == []


def _anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, by GitHub's rules: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_test_exists(document: Path) -> None:
    named = re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)", document.read_text())
    tests = {str(path.relative_to(ROOT)) for folder in ("tests", "examples") for path in ROOT.glob(f"{folder}/**/test_*.py")}
    missing = [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in tests)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_source_file_exists(document: Path) -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|svg|yaml))`", document.read_text())
    sources = [
        str(path)
        for folder in ("bench", "clients", "examples", "functions", "layers", "local", "tests", "tools")
        for path in ROOT.glob(f"{folder}/**/*")
    ]
    missing = [name for name in named if not (ROOT / name).exists() and not any(path.endswith(f"/{name}") for path in sources)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_prose_are_at_most_160_characters(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > 160 and not line.startswith(("|", "!["))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_blank_line_parts_the_rows_of_a_table(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    # A row after a blank line is text, unless a table begins with it.
    assert re.findall(r"^\|.*\|\n\s*\n(\|.*\|)\n(?!\|[-|: ]+\|$)", prose, flags=re.MULTILINE) == []


def test_readme_names_each_folder_and_each_function() -> None:
    _, _, section = (ROOT / "README.md").read_text().partition("\n## Where things are\n")
    rows = dict(re.findall(r"^(\w+/)\S* +(.+)$", section, flags=re.MULTILINE))
    assert rows.keys() == {f"{file.partition('/')[0]}/" for file in tracked_files("*/*") if file[0] != "."}
    functions = rows["functions/"].partition(": ")[2].split(", ")
    assert sorted(functions) == sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


SEEDS_PAGE = (ROOT / "docs/seeds.md").read_text()
SEEDS = re.findall(r"^\| (S\d.*?) \| (.*?) \|(?: (.*?))? \|$", SEEDS_PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize(("state", "tests"), [each[1:] for each in SEEDS], ids=[item for item, _, _ in SEEDS])
def test_every_working_seed_item_names_existing_tests(state: str, tests: str) -> None:
    named = re.findall(r"`(.+?)`", tests)
    assert [name for name in named if not (ROOT / "tests" / name).exists() and not (ROOT / name).exists()] == []
    assert named
    assert "in the dialect" not in state or any("dialects/" in name for name in named)


def test_no_seed_item_is_left_open() -> None:
    assert re.findall(r"(?i)not yet\b(?! completed)|not taken|ours instead|\btodo\b|planned", SEEDS_PAGE) == []


def test_every_item_of_every_seed_is_answered() -> None:
    answered = {each for item, _, _ in SEEDS for each in re.findall(r"S\d\.F?\d+", item)}
    ranges = [re.findall(r"(S\d)\.(\d+) to \1\.(\d+)", item) for item, _, _ in SEEDS]
    answered |= {f"{seed}.{n}" for found in ranges for seed, first, last in found for n in range(int(first), int(last) + 1)}
    expected = {f"S{seed}.{n}" for seed, count in enumerate((17, 18, 19, 14, 12)) for n in range(1, count + 1)}
    assert answered == expected | {f"S1.F{n}" for n in range(1, 7)}


# ── Powertools ───────────────────────────────────────────────────────────────────────────────────────

NO_UTILITIES = {"exceptions", "package_logger", "shared", "utilities", "warnings"}
"""What the utilities of Powertools share."""


def test_every_utility_of_powertools_has_a_row_with_a_reason() -> None:
    decisions = (ROOT / "docs/decisions.md").read_text()
    section = decisions.partition("### Powertools for AWS Lambda: which")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| [^|]*\((`[^|]+)\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, flags=re.MULTILINE)
    named = [name for names, *_ in rows for name in re.findall(r"`(\w+)`", names)]
    packages = [*aws_lambda_powertools.__path__, *utilities.__path__]
    assert sorted(named) == sorted({each.name for each in pkgutil.iter_modules(packages)} - NO_UTILITIES)
    assert f"Powertools {'.'.join(version('aws-lambda-powertools').split('.')[:2])}," in section
