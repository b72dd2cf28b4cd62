"""DynamoDB in memory: one table with sparse indexes, and a record of every applied write."""

# ruff: noqa: N803 - the parameters have the names that boto3 gives them

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from botocore.exceptions import ClientError

from tests.proof.stateful.memory.expressions import (
    InvalidExpression,
    Item,
    Scope,
    compile_condition,
    compile_update,
    plain,
)

_MAX_ITEM = 400 * 1024


@dataclass(frozen=True, slots=True)
class Write:
    """An applied write: the stream's record and its writer."""

    number: int
    operation: str
    at: datetime
    by: Any
    old: Item | None
    new: Item | None

    @property
    def pk(self) -> str:
        image = self.new or self.old or {}
        return str(image["pk"]["S"])


@dataclass(frozen=True, slots=True)
class _Index:
    partition: str
    sort: str


class MemoryDynamoDB:
    """The calls of boto3's `dynamodb` client that the store makes, on one table as in the template."""

    def __init__(
        self,
        table: Mapping[str, Any],
        *,
        clock: Callable[[], datetime] = datetime.now,
        name: str = "jobs",
        page_size: int | None = None,
        writer: Callable[[], Any] | None = None,
    ) -> None:
        self.items: dict[str, Item] = {}
        self.history: list[Write] = []
        self._clock = clock
        self._one_by_one = threading.Lock()
        self._name = name
        self._page_size = page_size
        self._writer = writer or (lambda: None)
        self._types = {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]}
        (self._key,) = (entry["AttributeName"] for entry in table["KeySchema"])
        self._indexes = {
            index["IndexName"]: _Index(*(entry["AttributeName"] for entry in index["KeySchema"]))
            for index in table["GlobalSecondaryIndexes"]
        }

    # ── The client's calls ─────────────────────────────────────────────────────────────────────────

    def put_item(
        self,
        *,
        TableName: str,
        Item: Item,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        self._check_table(TableName)
        self._check_item(Item)
        with self._one_by_one:
            old = self.items.get(Item[self._key]["S"])
            self._check_condition(
                ConditionExpression,
                old,
                names=ExpressionAttributeNames,
                values=ExpressionAttributeValues,
                tell_old=ReturnValuesOnConditionCheckFailure == "ALL_OLD",
            )
            self._apply("PutItem", old, dict(Item))
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        self._check_table(TableName)
        with self._one_by_one:
            old = self.items.get(Key[self._key]["S"])
            self._check_condition(
                ConditionExpression,
                old,
                names=ExpressionAttributeNames,
                values=ExpressionAttributeValues,
                tell_old=ReturnValuesOnConditionCheckFailure == "ALL_OLD",
                also=UpdateExpression,
            )
            scope = Scope(old or dict(Key), ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
            try:
                new = compile_update(UpdateExpression).apply(scope)
            except InvalidExpression as error:
                raise _validation(str(error)) from error
            if new.get(self._key) != Key[self._key]:
                raise _validation("This attribute is part of the key.")
            self._check_item(new)
            self._apply("UpdateItem", old, dict(new))
            return {"Attributes": dict(new)} if ReturnValues == "ALL_NEW" else {}

    def delete_item(
        self,
        *,
        TableName: str,
        Key: Item,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        self._check_table(TableName)
        with self._one_by_one:
            old = self.items.get(Key[self._key]["S"])
            self._check_condition(
                ConditionExpression,
                old,
                names=ExpressionAttributeNames,
                values=ExpressionAttributeValues,
                tell_old=ReturnValuesOnConditionCheckFailure == "ALL_OLD",
            )
            if old is not None:
                self._apply("DeleteItem", old, None)
        return {"Attributes": dict(old)} if ReturnValues == "ALL_OLD" and old is not None else {}

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        self._check_table(TableName)
        item = self.items.get(Key[self._key]["S"])
        return {} if item is None else {"Item": dict(item)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return as many items as a page of a query holds, and the rest as unprocessed."""
        ((table, request),) = RequestItems.items()
        self._check_table(table)
        keys: Sequence[Item] = request["Keys"]
        names = [key[self._key]["S"] for key in keys]
        if not 1 <= len(keys) <= 100 or len(set(names)) < len(names):
            raise _validation("Provided list of item keys is empty, too long, or contains duplicates.")
        most = self._page_size or len(keys)
        # AWS guarantees no order.
        found = [dict(self.items[name]) for name in sorted(names[:most]) if name in self.items]
        return {"Responses": {table: found}, "UnprocessedKeys": {table: {"Keys": keys[most:]}} if keys[most:] else {}}

    def query(
        self,
        *,
        TableName: str,
        IndexName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any],
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        Select: Literal["ALL_PROJECTED_ATTRIBUTES", "COUNT"] = "ALL_PROJECTED_ATTRIBUTES",
        ScanIndexForward: bool = True,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
        behind: int = 0,
    ) -> dict[str, Any]:
        """Query the table or an index. `behind`, which AWS does not have, is the number of writes by which the index lags."""
        self._check_table(TableName)
        index = self._indexes[IndexName]
        condition = compile_condition(KeyConditionExpression)
        _check_placeholders(condition.placeholders, ExpressionAttributeNames, ExpressionAttributeValues)
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues

        def place(entry: Item) -> tuple[Any, str]:
            return plain(entry[index.sort]), entry[self._key]["S"]

        attributes = (self._key, index.partition, index.sort)
        entries = [
            {name: item[name] for name in attributes}
            for item in self._as_of(behind).values()
            if index.partition in item and index.sort in item and condition.holds(Scope(item, names, values))
        ]
        entries.sort(key=place, reverse=not ScanIndexForward)
        if ExclusiveStartKey is not None:
            if ExclusiveStartKey.keys() != set(attributes):
                raise _validation("The provided starting key is invalid.")
            start = place(ExclusiveStartKey)
            entries = [entry for entry in entries if (place(entry) > start if ScanIndexForward else place(entry) < start)]
        most = min(size for size in (Limit, self._page_size, len(entries) + 1) if size is not None)
        answer: dict[str, Any] = {"Count": len(entries[:most])}
        if Select != "COUNT":
            answer["Items"] = entries[:most]
        if len(entries) >= most > 0:
            # AWS returns a key when it stops at the limit, even if no item follows.
            answer["LastEvaluatedKey"] = entries[most - 1]
        return answer

    # ── Time to live ───────────────────────────────────────────────────────────────────────────────

    def expire(self, pk: str) -> None:
        """Remove the record some time after it expired, as time to live does."""
        self._apply("Expiry", self.items[pk], None)

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    def _apply(self, operation: str, old: Item | None, new: Item | None) -> None:
        write = Write(len(self.history), operation, self._clock(), self._writer(), old, new)
        self.history.append(write)
        if new is None:
            del self.items[write.pk]
        else:
            self.items[write.pk] = new

    def _as_of(self, behind: int) -> Mapping[str, Item]:
        if not behind:
            return self.items
        items: dict[str, Item | None] = dict(self.items)
        for write in reversed(self.history[-behind:]):
            items[write.pk] = write.old
        return {pk: item for pk, item in items.items() if item is not None}

    def _check_table(self, name: str) -> None:
        if name != self._name:
            raise _error("ResourceNotFoundException", "Requested resource not found")

    def _check_condition(
        self,
        text: str | None,
        old: Item | None,
        *,
        names: Mapping[str, str] | None,
        values: Mapping[str, Any] | None,
        tell_old: bool,
        also: str | None = None,
    ) -> None:
        try:
            condition = None if text is None else compile_condition(text)
            used = (condition.placeholders if condition else frozenset()) | (
                compile_update(also).placeholders if also is not None else frozenset()
            )
        except InvalidExpression as error:
            raise _validation(str(error)) from error
        _check_placeholders(used, names, values)
        if condition is not None and not condition.holds(Scope(old or {}, names or {}, values or {})):
            told = {"Item": dict(old)} if tell_old and old is not None else {}
            raise _error("ConditionalCheckFailedException", "The conditional request failed", **told)

    def _check_item(self, item: Item) -> None:
        size = 0
        for name, value in item.items():
            ((kind, content),) = value.items()
            if kind == "N":
                _check_number(content)
            elif (kind == "S" and not isinstance(content, str)) or (kind == "B" and not isinstance(content, bytes)):
                raise _validation(f"{name} is no {kind}.")
            if self._types.get(name, kind) != kind or (name in self._types and content == ""):
                raise _validation(f"One or more parameter values were invalid: Type mismatch for key {name}.")
            size += len(name.encode()) + _size(content)
        if self._key not in item:
            raise _validation("One of the required keys was not given a value")
        if size > _MAX_ITEM:
            raise _validation("Item size has exceeded the maximum allowed size")


def _size(content: Any) -> int:
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, dict):
        return sum(len(name.encode()) + _size(next(iter(value.values()))) for name, value in content.items())
    return sum(map(_size, content)) if isinstance(content, list) else len(content.encode())


def _check_placeholders(used: frozenset[str], names: Mapping[str, str] | None, values: Mapping[str, Any] | None) -> None:
    given = {*(names or {}), *(values or {})}
    if used != given:
        raise _validation(f"Placeholders unused or not defined: {sorted(used ^ given)}")


def _check_number(text: str) -> None:
    try:
        digits = Decimal(text).as_tuple().digits
    except (InvalidOperation, TypeError) as error:
        raise _validation("The parameter cannot be converted to a numeric value") from error
    if len(digits) > 38:
        raise _validation("Attempting to store more than 38 significant digits in a Number")


def _validation(message: str) -> ClientError:
    return _error("ValidationException", message)


def _error(code: str, message: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(response, "memory")
