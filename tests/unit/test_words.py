"""The check of words finds a planted phrase in each kind of file. `make check` runs it on the tree."""

from __future__ import annotations

import pytest

from tests.support.programs import tracked_files
from tools import words

PLANTED = {
    "docs/page.md": "# Page\n\nThe answer comes at\nonce.\n",
    "docs/comment.md": "```python\nx = 1  # the store asks\n```\n",
    "docs/table.md": "| a | b |\n|---|---|\n| `x` | Who waits is sent |\n",
    "core/docstring.py": '"""Return it\n\nto whoever reads it."""\n',
    "core/attribute.py": 'LIMIT = 3\n"""A job under this lies in the record."""\n',
    "core/comment.py": "x = 1  # it is made\n# anew\n",
    "core/mood.py": 'def lease() -> int:\n    """The length of a lease."""\n',
    "core/message.py": 'raise ValueError(f"the input {x} is gone, send it")\n',
    "tests/unit/test_x.py": "def test_what_is_refused_is_told() -> None: ...\n",
    "template.yaml": "  Limit:\n    Description: Some 20 jobs, or so.\n",
    "Makefile": "run: ## Run the zoo\n",
    "pyproject.toml": "# besides\n# what is here\n",
    "tools/find.sh": "echo 'It goes by itself'\n",
    "console/page.js": "/** Pages that are\n * gone. */\n",
    "console/page.html": "<p>Jobs that wait stand behind others.</p>\n",
    "console/style.css": "/* Some 20 columns. */\n",
    "clients/js/src/types.ts": "/** The catalogue. */\n",
    ".ci/run": "# Install whatever it asks for.\n",
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_phrase_is_found(name: str) -> None:
    assert len(words.findings(name, PLANTED[name])) == 1


def test_finding_names_file_line_phrase_and_replacement() -> None:
    (found,) = words.findings("docs/page.md", PLANTED["docs/page.md"])
    assert str(found) == 'docs/page.md:3: "at once" -> immediately, at the same time'


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("docs/page.md", "The field `told`, and [a link](some/gone/page.md).\n\n```console\n$ echo gone\n```\n"),
        ("docs/page.md", "Who may submit? What is a job? It is no longer there.\n"),
        ("core/property.py", '@property\ndef lease(self) -> int:\n    """The length of a lease."""\n'),
        ("core/verb.py", 'def lease() -> int:\n    """Return the length of a lease."""\n'),
        ("core/identifier.py", 'told = {"at once": 1}  # the `whoever` option\n'),
        ("tests/unit/test_x.py", 'def test_message_is_kept() -> None:\n    assert tell("this lies in a string")\n'),
    ],
)
def test_code_and_plain_sentences_are_not_found(name: str, source: str) -> None:
    assert words.findings(name, source) == []


def test_escape_with_a_reason_allows_one_phrase_on_one_line() -> None:
    escape = '<!-- words: allow "at once": the term of the RFC -->'
    assert words.findings("docs/page.md", f"All at once, not anew. {escape}\nAt once.\n") == [
        words.Finding("docs/page.md", 1, "anew", "again, new"),
        words.Finding("docs/page.md", 2, "At once", "immediately, at the same time"),
    ]


def test_escape_without_a_reason_allows_nothing() -> None:
    assert words.findings("core/x.py", '# at once  # words: allow "at once":\n')


def test_every_exclusion_names_an_existing_file_or_folder() -> None:
    assert [name for name in words.TEXTS if not (words.ROOT / name).exists()] == []


def test_every_file_of_the_repository_is_in_scope_or_named_as_data() -> None:
    in_scope = set(words.files())
    prefixes, endings = (*words.TEXTS, *words.OTHERS), words.DATA
    assert [
        name
        for name in tracked_files()
        if name not in in_scope and not name.startswith(prefixes) and not name.endswith(endings)
    ] == []


def test_scope_contains_each_kind_of_file() -> None:
    names = set(words.files())
    assert {
        "README.md",
        "docs/jobs.md",
        "template.yaml",
        "tools/words.py",
        "tools/find-python.sh",
        "layers/asyncjobs/asyncjobs/core/job.py",
    } <= names
