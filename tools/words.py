"""Find words that this project's prose avoids, and name better ones: `python -m tools.words [FILE ...]`.

Checked are documents, docstrings, comments, messages, the template's descriptions, the Makefile and test names. A function's
docstring must also begin with a verb (ruff's D401 finds verbs in a wrong mood, and accepts any other word). A line that needs
such a word says so, with its reason, in a comment: `words: allow "at once": the RFC's own term`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

FOLDERS = (
    *("bench", "clients", "console", "docs", "events", "examples", "functions", "layers", "local", "requirements", "tests"),
    "tools",
)
SUFFIXES = (".css", ".html", ".in", ".js", ".md", ".py", ".sh", ".svg", ".toml", ".ts", ".yaml", "Makefile")
SCOPE = (
    *("*.md", "*.toml", "*.yaml", "Makefile", ".ci/run"),
    *(f"{folder}/**/*{suffix}" for folder in FOLDERS for suffix in SUFFIXES),
)
"""The files to check, as globs."""

DATA = (".baseline", ".gitignore", ".json", ".npmrc", ".pdf", ".png", ".tgz", ".txt", ".typed", ".whl", "LICENSE")
"""Endings of names of files that are not our prose."""

TEXTS = ("layers/jobs/jobs/corpus/",)
"""Prefixes of files whose text is data."""

OTHERS = ("clients/js/node_modules/", "clients/js/types/", "console/vendor/")
"""Prefixes of files that others or tools wrote. Some are missing without npm."""


class Rule(NamedTuple):
    """A phrase to avoid, as a regular expression in which a space is any white space, and what to write instead."""

    avoid: str
    use: str
    case: bool = False


_MACHINE = (
    "(?:aggregator|alarm|API|bucket|catalog|claim|client|document|emulator|engine|executor|function|gateway|handler|index|job"
    "|Lambda|layer|lock|message|module|process|queue|record|route|schema|script|server|store|SQS|sweeper|table|template|test|worker)s?"
)

RULES = (
    # Relative clauses without a noun, as subjects and objects.
    Rule(r"\bwhoever\b", "a caller that, a client that, the process that"),
    Rule(r"(?<![\w-])Who (?![^.?!|]*\?)", "name the subject: the caller, the owner, the worker", case=True),
    Rule(
        r"(?:\b(?:because|by|for|from|if|of|so|than|that|to|when|with)|[;:]) who\b",
        "name the person or process: for a caller that ...",
    ),
    Rule(
        r"(?:(?<![\w-])What|[;:] what) (?:is|was|are|were|has|had|can|cannot|may|must|does|did|will|comes|goes|needs|takes|follows|fits|lies|"
        r"stands|waits|runs|ends|begins)\b(?![^.?!|]*\?)",
        "name the subject: data that, a request that",
        case=True,
    ),
    Rule(r"\b(?:what|which|that|it) is no (?!longer\b|more\b|less\b|later\b|\w+er\b)\w+", "is not a, is an invalid"),
    # Machines are not people.
    Rule(r"\b(?:tells?|told|telling)\b", "returns, reports, shows, distinguishes"),
    Rule(r"\b(?:asks?|asked|asking)\b", "reads, queries, requests, requires"),
    Rule(r"\bwants\b", "needs, requires, requests"),
    Rule(r"\bknows\b", "has, stores, reads, depends on"),
    Rule(rf"\b{_MACHINE} (?:want|know|listens?|believes?|looks?(?! like)|minds?)\b", "reads, receives, requires, handles"),
    Rule(r"\b(?:do|does|did|will|would) not mind\b|\bminds\b", "is not affected"),
    Rule(r"\b(?:a|each|every|its|next) look\b(?! at)", "a poll, a request, a read"),
    Rule(r"\b(?:rung|rings)\b", "invokes, starts, fires"),
    # Words of another language's grammar.
    Rule(
        r"\b(?:lies?|lay|lain|lying) (?:as|behind|beside|elsewhere|further|in|on|outside|there|under|where|within)\b",
        "is stored in, is",
    ),
    Rule(
        r"\b(?:stands?|stood) (?:as|behind|beside|elsewhere|in(?! for)|on|there|under|where)\b|\bas (?:it|they) stands?\b",
        "is in, is",
    ),
    Rule(r"\b(?:be|is|are|was|were) had\b", "is available, can be read"),
    Rule(r"\bbesides\b", "also, additional"),
    Rule(r"\bof before\b", "earlier, from earlier releases"),
    Rule(r"\banew\b", "again, new"),
    Rule(r"\bat once\b", "immediately, at the same time"),
    Rule(r"\bsome (?:\d|half\b|a dozen|dozen|hundred|ten\b|twenty)", "about"),
    Rule(r"\bmend(?:s|ed|ing)?\b", "fix, repair"),
    Rule(r"\bgone\b", "deleted, expired"),
    Rule(r"\b(?:go|goes) by (?:itself|themselves)\b", "expires"),
    Rule(r"\bturned away\b", "rejected"),
    Rule(r"\bpassed over\b", "ignored, skipped"),
    Rule(r"\bof (?:ours|yours|theirs)\b", "our, your own, their"),
    Rule(r"\bfor ever\b", "forever"),
    Rule(r"\breckon(?:s|ed|ing)?\b", "compute, estimate"),
    Rule(r"\bdear(?:er|est)\b", "more expensive, most expensive"),
    Rule(r"\bcures?\b", "fix"),
    # Names that only insiders know.
    Rule(r"\bdoorbells?\b", "handler"),
    Rule(r"\bzoo\b", "sample jobs"),
    Rule(r"\b(?:(?:your|which|the) room|rooms|import rows?)\b", "layer, package"),
    Rule(r"\bhouse\b", "layout, structure"),
    # American spelling.
    Rule(r"\bcatalogues?\b", "catalog"),
    Rule(r"\b(?:learnt|spelt|burnt)\b", "learned, spelled, burned"),
    Rule(r"\b(?:behaviour|colour|favour|honour|labour|neighbour)\w*", "-or: behavior, neighbor"),
    Rule(
        r"\b(?:un|re|de)?(?:author|capital|custom|final|general|initial|maxim|minim|normal|optim|organ|parallel|priorit|real|recogn|"
        r"sanit|serial|special|standard|summar|synchron)is(?:e|ed|es|ing|ation|able)\b",
        "-ize: recognize, serialize",
    ),
    Rule(
        r"\b(?:licence|artefact|centre|grey|towards|judgement|analyse[ds]?)\b",
        "license, artifact, center, gray, toward, judgment, analyze",
    ),
)

_NO_VERB = re.compile(
    r"\b(?:About|After|All|An?|Any|At|Before|Both|By|Each|Every|Everything|For|From|How|If|In|Its?|None|Of|On|One|Only|Seconds"
    r"|That|The|These|This|Those|Up|What|When|Where|Whether|Which|Who|Whose|Without)\b"
)
"""First words of a function's docstring that are not verbs."""

_PATTERNS = [(re.compile(rule.avoid.replace(" ", r"\s+"), 0 if rule.case else re.IGNORECASE), rule.use) for rule in RULES]
_ALLOWED = re.compile(r'words: allow "([^"]+)": \S')


class Passage(NamedTuple):
    """A piece of prose and the number of its first line. It has as many line breaks as its place in the file."""

    line: int
    text: str


class Finding(NamedTuple):
    """A phrase to avoid, where it is, and what to write instead."""

    file: str
    line: int
    phrase: str
    use: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: "{self.phrase}" -> {self.use}'


def findings(name: str, source: str) -> list[Finding]:
    """Return what a file of that name and text should say otherwise, in the order of its lines."""
    lines = source.splitlines()
    nodes = list(ast.walk(ast.parse(source))) if Path(name).suffix == ".py" else []
    found: dict[tuple[int, str], Finding] = {}
    for first, text in _passages(name, source, nodes):
        for pattern, use in _PATTERNS:
            for match in pattern.finditer(text):
                phrase = " ".join(match[0].split())
                start = first + text.count("\n", 0, match.start())
                end = start + match[0].count("\n")
                allowed = [word.casefold() for line in lines[start - 1 : end] for word in _ALLOWED.findall(line)]
                if phrase.casefold() not in allowed:
                    found[start, phrase] = Finding(name, start, phrase, use)
    for line, word in _first_words(name, nodes):
        if _NO_VERB.fullmatch(word):
            found[line, word] = Finding(name, line, word, 'begin with a verb: "Return the ...", "Return whether ..."')
    return [found[place] for place in sorted(found)]


def files() -> Iterator[str]:
    """Yield the names of the files in scope, relative to the root."""
    names = {str(path.relative_to(ROOT)) for glob in SCOPE for path in ROOT.glob(glob)}
    yield from sorted(name for name in names if not name.startswith((*TEXTS, *OTHERS)))


def _passages(name: str, source: str, nodes: Sequence[ast.AST]) -> Iterator[Passage]:
    path = Path(name)
    if path.suffix == ".py":
        yield from _comments(source)
        yield from _strings(nodes, messages=path.parts[0] != "tests")
    elif path.suffix == ".md":
        yield Passage(1, _without_code(_without_blocks(source)))
    else:  # the code of a template, a Makefile or a script is not like prose, so none of it is left out
        yield Passage(1, _without_code(re.sub(r"^[^\S\n]*(?:#+|[/*]+)", "", source, flags=re.MULTILINE)))


def _first_words(name: str, nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the first word of each function's docstring, except of tests and of properties, which are named by a noun."""
    if Path(name).parts[0] == "tests":
        return
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
            docstring = ast.get_docstring(node)
            if docstring and not is_property:
                yield node.body[0].lineno, docstring.split(maxsplit=1)[0]


def _comments(source: str) -> Iterator[Passage]:
    """Yield each block of comments, without the signs, so that a phrase is found across lines."""
    first, block = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != first + len(block):
            yield Passage(first, _without_code("\n".join(block)))
            first, block = token.start[0], []
        block.append(token.string.lstrip("#"))
    yield Passage(first, _without_code("\n".join(block)))


def _strings(nodes: Sequence[ast.AST], *, messages: bool) -> Iterator[Passage]:
    """Yield docstrings and the names of tests, and, if they are messages, the other strings of three words or more."""
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield Passage(node.lineno, _without_code(text))
            case ast.Constant(value=str(text)) if (
                messages and text.count(" ") > 1 and "\\" not in text
            ):  # a backslash: a pattern
                yield Passage(node.lineno, _without_code(text))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield Passage(node.lineno, name.replace("_", " "))


def _without_blocks(document: str) -> str:
    """Return the document with its code blocks reduced to their comments."""

    def comments(block: re.Match[str]) -> str:
        return "\n".join(line.partition("# ")[2] for line in block[0].split("\n"))

    return re.sub(r"^```.*?^```", comments, document, flags=re.DOTALL | re.MULTILINE)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", "``", text)


def main(arguments: list[str]) -> int:
    """Print each finding, and return the exit code: 1 if there is any."""
    names = arguments or list(files())
    found = [finding for name in names for finding in findings(name, (ROOT / name).read_text())]
    for finding in found:
        print(finding)
    if found:
        print(f"{len(found)} phrases to replace. The rules are in tools/words.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
