"""DynamoDB's condition, key condition and update expressions, as far as the store needs them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Item = dict[str, Any]
Value = Mapping[str, Any]


class InvalidExpression(Exception):
    """The error for which AWS answers with a ValidationException."""


@dataclass(frozen=True)
class Scope:
    """The item and the placeholders of an evaluation."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Value]

    def attribute(self, token: str) -> Value | None:
        return self.item.get(self.names[token] if token.startswith("#") else token)


Condition = Callable[[Scope], bool]
Operand = Callable[[Scope], Value | None]


@dataclass(frozen=True)
class Compiled:
    """An expression and its placeholders: AWS requires each of them and no others."""

    placeholders: frozenset[str]


@dataclass(frozen=True)
class CompiledCondition(Compiled):
    holds: Condition


@dataclass(frozen=True)
class CompiledUpdate(Compiled):
    assignments: tuple[tuple[str, Operand], ...]
    removals: tuple[str, ...]
    elements: tuple[tuple[str, str, str], ...] = ()
    """Changes of sets of strings: ADD or DELETE, the attribute, and the value's placeholder."""

    def apply(self, scope: Scope) -> Item:
        """Return the changed item. Every operand has the value before the update."""
        targets = [scope.names.get(token, token) for token, _ in self.assignments]
        gone = [scope.names.get(token, token) for token in self.removals]
        sets = {scope.names.get(path, path): _changed_set(scope, clause, path, value) for clause, path, value in self.elements}
        if len({*targets, *gone, *sets}) != len(targets) + len(gone) + len(self.elements):
            raise InvalidExpression("Two document paths overlap.")
        values = [operand(scope) for _, operand in self.assignments]
        if None in values:
            raise InvalidExpression("The provided expression refers to an attribute that does not exist in the item.")
        changed = {**scope.item, **{name: dict(value) for name, value in zip(targets, values, strict=True) if value}}
        changed |= {name: {"SS": sorted(found)} for name, found in sets.items()}
        # A set without elements does not exist.
        gone += [name for name, found in sets.items() if not found]
        return {name: value for name, value in changed.items() if name not in gone}


def _changed_set(scope: Scope, clause: str, path: str, placeholder: str) -> frozenset[str]:
    found, given = scope.attribute(path) or {"SS": []}, scope.values[placeholder]
    if found.keys() != {"SS"} or given.keys() != {"SS"} or not given["SS"]:
        raise InvalidExpression("An operand in the update expression has an incorrect data type.")
    here, there = frozenset(found["SS"]), frozenset(given["SS"])
    return here | there if clause == "ADD" else here - there


@functools.lru_cache(maxsize=4096)
def compile_condition(text: str) -> CompiledCondition:
    """Compile a condition."""
    tokens = _Tokens(text)
    condition = _disjunction(tokens)
    tokens.finish()
    return CompiledCondition(tokens.placeholders, condition)


@functools.lru_cache(maxsize=4096)
def compile_update(text: str) -> CompiledUpdate:
    """Compile an update."""
    tokens = _Tokens(text)
    assignments: list[tuple[str, Operand]] = []
    removals: list[str] = []
    elements: list[tuple[str, str, str]] = []
    seen: set[str] = set()
    while not tokens.at_end:
        clause = tokens.take()
        if clause not in {"SET", "REMOVE", "ADD", "DELETE"} or clause in seen:
            raise InvalidExpression(f"Unexpected {clause!r}.")
        seen.add(clause)
        while True:
            path = tokens.path()
            if clause == "SET":
                tokens.take("=")
                assignments.append((path, _sum(tokens)))
            elif clause in {"ADD", "DELETE"}:
                elements.append((clause, path, tokens.placeholder()))
            else:
                removals.append(path)
            if not tokens.took(","):
                break
    if not seen:
        raise InvalidExpression("The expression can not be empty.")
    return CompiledUpdate(tokens.placeholders, tuple(assignments), tuple(removals), tuple(elements))


_TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z_][A-Za-z0-9_]*)|(<=|>=|<>|[=<>(),+]))")


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = list(_split(text))
        self._next = 0
        self.placeholders = frozenset(token for token in self._tokens if token[0] in "#:")

    @property
    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def peek(self) -> str:
        return "" if self.at_end else self._tokens[self._next]

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise InvalidExpression(f"Expected {expected or 'more'}, found {token!r}.")
        self._next += 1
        return token

    def took(self, token: str) -> bool:
        if self.peek() == token:
            self._next += 1
            return True
        return False

    def path(self) -> str:
        token = self.take()
        if token[0] == ":" or not (token[0] == "#" or token[0].isalpha()):
            raise InvalidExpression(f"{token!r} is not an attribute.")
        return token

    def placeholder(self) -> str:
        token = self.take()
        if token[0] != ":":
            raise InvalidExpression(f"{token!r} is not a value.")
        return token

    def finish(self) -> None:
        if not self.at_end:
            raise InvalidExpression(f"Unexpected {self.peek()!r}.")


def _split(text: str) -> Iterator[str]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidExpression(f"Cannot read {text[position:]!r}.")
        yield match[1] or match[2]
        position = match.end()


def _disjunction(tokens: _Tokens) -> Condition:
    parts = [_conjunction(tokens)]
    while tokens.took("OR"):
        parts.append(_conjunction(tokens))
    return parts[0] if len(parts) == 1 else lambda scope: any(part(scope) for part in parts)


def _conjunction(tokens: _Tokens) -> Condition:
    parts = [_term(tokens)]
    while tokens.took("AND"):
        parts.append(_term(tokens))
    return parts[0] if len(parts) == 1 else lambda scope: all(part(scope) for part in parts)


def _term(tokens: _Tokens) -> Condition:
    if tokens.took("("):
        inner = _disjunction(tokens)
        tokens.take(")")
        return inner
    if tokens.peek() in {"attribute_not_exists", "attribute_exists"}:
        wanted = tokens.take() == "attribute_exists"
        tokens.take("(")
        path = tokens.path()
        tokens.take(")")
        return lambda scope: (scope.attribute(path) is not None) is wanted
    return _comparison(tokens)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "<>": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def _comparison(tokens: _Tokens) -> Condition:
    left, sign, right = _operand(tokens), tokens.take(), _operand(tokens)
    if sign not in _COMPARISONS:
        raise InvalidExpression(f"{sign!r} compares nothing.")
    compare = _COMPARISONS[sign]

    def holds(scope: Scope) -> bool:
        here, there = left(scope), right(scope)
        # A missing attribute, or one of another type, equals nothing and is neither less nor more.
        if here is None or there is None or here.keys() != there.keys():
            return sign == "<>"
        return compare(plain(here), plain(there))

    return holds


def _sum(tokens: _Tokens) -> Operand:
    left = _operand(tokens)
    if not tokens.took("+"):
        return left
    right = _operand(tokens)

    def add(scope: Scope) -> Value | None:
        here, there = left(scope), right(scope)
        if here is None or there is None:
            return None
        if here.keys() != {"N"} or there.keys() != {"N"}:
            raise InvalidExpression("An operand in the update expression has an incorrect data type.")
        return {"N": str(Decimal(here["N"]) + Decimal(there["N"]))}

    return add


def _operand(tokens: _Tokens) -> Operand:
    if tokens.took("if_not_exists"):
        tokens.take("(")
        path = tokens.path()
        tokens.take(",")
        otherwise = _operand(tokens)
        tokens.take(")")
        return lambda scope: scope.attribute(path) or otherwise(scope)
    token = tokens.take()
    if token[0] == ":":
        return lambda scope: scope.values[token]
    if token[0] == "#" or token[0].isalpha():
        return lambda scope: scope.attribute(token)
    raise InvalidExpression(f"{token!r} is not an operand.")


def plain(value: Value) -> Any:
    """Return the comparable value."""
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else content
