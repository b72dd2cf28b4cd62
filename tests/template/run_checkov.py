# ruff: noqa: T201 - a command prints
"""Print checkov's report on templates of CloudFormation, as its command does, in half the time: `run_checkov.py FILE ...`.

Its command also imports the checks of all other languages, and builds the tables of its parser again for each JSON path. Its
Python is that of .venv-checks.
"""

from __future__ import annotations

import functools
import json
import sys

import ply.yacc  # type: ignore[import-not-found] # in .venv-checks
from checkov.cloudformation.runner import Runner  # type: ignore[import-not-found] # in .venv-checks
from checkov.runner_filter import RunnerFilter  # type: ignore[import-not-found] # in .venv-checks


def main(files: list[str]) -> None:
    """Check the files and print the report as JSON."""
    make_parser, parsers = ply.yacc.yacc, dict[tuple[type, str], object]()

    @functools.wraps(make_parser)
    def yacc(*, module: object, start: str, **options: object) -> object:
        key = (type(module), start)
        if key not in parsers:
            parsers[key] = make_parser(module=module, start=start, **options)
        return parsers[key]

    ply.yacc.yacc = yacc
    report = Runner().run(root_folder=None, files=files, runner_filter=RunnerFilter(framework=["cloudformation"]))
    print(json.dumps(report.get_dict(), default=str))


if __name__ == "__main__":
    main(sys.argv[1:])
