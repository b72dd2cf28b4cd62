"""JSON that every program reads alike. Anything else is rejected by a problem that names the place."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

from asyncjobs.core.exact_json import MAX_DIGITS, DuplicateName, distinct_members, exact_number, significant_digits
from asyncjobs.http.problems import Problem
from asyncjobs.jobtypes.json_schema import pointer

MAX_DEPTH = 32

_UNCLEAN = re.compile("[\x00\ud800-\udfff]")


def parse_json(data: bytes) -> Any:
    """Return the value of the JSON text in the bytes.

    Raise a `Problem` (400), with a JSON pointer where there is one, for bytes that are not UTF-8, a byte order mark, NaN and
    infinities, numbers of more than 38 digits or beyond a double's range, a duplicate name, a depth of more than 32, NUL and lone surrogates.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise invalid_json("", "The body begins with a byte order mark.")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=distinct_members,
            parse_int=_short_int,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise invalid_json("", "The body is not UTF-8.") from error
    except RecursionError as error:
        raise invalid_json("", f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    except (_Rejected, DuplicateName) as error:
        raise invalid_json("", str(error)) from error
    except ValueError as error:
        # The parser's own message quotes nothing of the body, only where it stopped.
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise invalid_json("", f"The body is not JSON{where}.") from error
    for path, part in _walk(value):
        if isinstance(part, (dict, list)) and len(path) >= MAX_DEPTH:
            raise invalid_json(pointer(path), f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(part, str) and not is_clean(part):
            where = pointer(path) if is_clean("".join(map(str, path))) else ""
            raise invalid_json(where, "A text contains NUL or a lone surrogate.")
    return value


def invalid_json(where: str, reason: str) -> Problem:
    """Return the problem with the JSON pointer of the place and a sentence that says what is wrong there."""
    return Problem(
        "INVALID_JSON", f"{reason} Correct the body and send it again.", errors=[{"pointer": where, "detail": reason}]
    )


def is_clean(text: str) -> bool:
    """Return whether the text has neither NUL nor a lone surrogate, which not every program can read, store or send."""
    return _UNCLEAN.search(text) is None


class _Rejected(ValueError):
    """JSON to other parsers, but not to this one."""


def _short_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise _Rejected(f"A number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _number(text: str) -> float | Decimal:
    if len(text) > MAX_DIGITS and len(significant_digits(text)) > MAX_DIGITS:
        raise _Rejected(f"A number has more than {MAX_DIGITS} digits.")
    number = exact_number(text)
    value = float(number)
    if math.isinf(value) or (value == 0 and significant_digits(text)):
        raise _Rejected("A number is too large or too small: it has more than 308 zeros at its end or after its point.")
    return number


def _no_constant(name: str) -> NoReturn:
    raise _Rejected(f"{name} is not JSON.")


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield each value and each name with its path. The depth is the client's choice, so this does not recurse."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while todo:
        path, part = todo.pop()
        yield path, part
        if isinstance(part, dict):
            for name, member in part.items():
                yield (*path, name), name
                todo.append(((*path, name), member))
        elif isinstance(part, list):
            todo += [((*path, index), member) for index, member in enumerate(part)]
