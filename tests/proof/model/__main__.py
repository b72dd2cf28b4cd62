"""Print the model check as Markdown: `PYTHONPATH=layers/asyncjobs python -m tests.proof.model`, with `larger` for more variants."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.proof.model.explore import Finding
from tests.proof.model.variants import BUILT, LARGER, MISTAKES, SPARE, Variant, explore_all

Row = tuple[Variant, Finding]


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every promise holds and each mistake is caught."""
    rows = explored(LARGER if "larger" in arguments else (*BUILT, *SPARE, *MISTAKES))
    sys.stdout.writelines(f"{line}\n" for line in page(rows))
    return 0 if all(variant.is_as_expected(finding) for variant, finding in rows) else 1


def explored(variants: Sequence[Variant]) -> Sequence[Row]:
    """Explore each variant."""
    return list(zip(variants, explore_all(variants), strict=True))


def page(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the tables, with the trace of each mistake."""
    holding = [row for row in rows if not row[0].breaks]
    states = sum(finding.states for _, finding in holding)
    wrong = sum(1 for _, finding in holding if finding.problem)
    yield f"{states:,} states in {len(holding)} settings, {wrong} in which a promise is broken."
    for title, variants in _TABLES.items():
        table = [row for row in rows if row[0] in variants]
        yield from _table(title, table)
        yield from _ways(table)


_TABLES: Mapping[str, Sequence[Variant]] = {
    "What the product does": BUILT,
    "Either of two may be missing": SPARE,
    "More at once": LARGER,
    "Mistakes, each caught": MISTAKES,
}


def _table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield from ("", f"### {title}", "", "| Variant | States | Result |", "|---|---:|---|")
        yield from (f"| {variant.title} | {finding.states:,} | {finding.problem or 'holds'} |" for variant, finding in rows)


def _ways(rows: Iterable[Row]) -> Iterator[str]:
    for variant, finding in rows:
        if finding.trace:
            yield from ("", f"**{variant.title}**: {finding.problem}.", "")
            yield from (f"{number}. {label}" for number, label in enumerate(finding.trace, start=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
