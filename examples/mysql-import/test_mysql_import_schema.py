"""Rows of `information_schema` become nodes, edges and remarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from asyncjobs import Fatal
from jobs import mysql_import_schema
from jobs.mysql_import_schema import Imported, Row, read_schema


def imported(version: str = "8.4.0", **rows: Sequence[Row]) -> Imported:
    """Read a schema whose queries have these rows, by the name of the view that they are from."""

    def query(sql: str) -> Sequence[Row]:
        if "VERSION()" in sql:
            return [{"version": version}]
        return next((found for name, found in rows.items() if f"information_schema.{name} " in sql), [])

    return read_schema(query, lambda *_: None)


TABLE = {"name": "one", "type": "BASE TABLE", "comment": "", "options": ""}


def column(**changes: Any) -> dict[str, Any]:
    plain = {"table_name": "one", "name": "id", "type": "int", "nullable": "NO", "dflt": None, "extra": "", "comment": ""}
    return {**plain, "generated": "", **changes}


def index(**changes: Any) -> dict[str, Any]:
    plain = {"table_name": "one", "name": "by_a", "non_unique": 1, "column_name": "a", "sub_part": None, "type": "BTREE"}
    return {**plain, **changes}


def test_long_texts_that_mysql_gives_as_bytes_are_texts() -> None:
    schema = imported(tables=[TABLE], columns=[column(type=b"enum('\xc3\xa4')", dflt=b"\xc3\xa4", generated=b"")]).schema_
    (found,) = schema.nodes[0].columns
    assert (found.type, found.default, found.generated) == ("enum('\u00e4')", "'\u00e4'", None)


MARIADB, MYSQL = "10.11.6-MariaDB-1", "8.4.0"


@pytest.mark.parametrize(
    ("version", "type_", "dflt", "extra", "default"),
    [
        (MARIADB, "varchar(9)", "NULL", "", None),
        (MARIADB, "varchar(9)", "'NULL'", "", "'NULL'"),
        (MARIADB, "varchar(9)", "'it''s'", "", "'it''s'"),
        (MARIADB, "timestamp", "current_timestamp()", "", "current_timestamp()"),
        (MYSQL, "varchar(9)", None, "", None),
        (MYSQL, "varchar(9)", "NULL", "", "'NULL'"),
        (MYSQL, "varchar(9)", "it's", "", "'it''s'"),
        (MYSQL, "varchar(9)", "a\\b", "", "'a\\\\b'"),  # MariaDB's form of the same
        (MARIADB, "varchar(9)", "'a\\\\b'", "", "'a\\\\b'"),
        (MYSQL, "varchar(9)", "", "", "''"),
        (MYSQL, "enum('a')", "a", "", "'a'"),
        (
            MYSQL,
            "date",
            "2020-01-01",
            "",
            "'2020-01-01'",
        ),  # this and the next ones as the results of MySQL's own tests have them
        (MYSQL, "time", "00:00:20", "", "'00:00:20'"),
        (MYSQL, "set('1set','2set')", "1set", "", "'1set'"),
        (MYSQL, "year(4)", "2000", "", "2000"),
        (MYSQL, "double unsigned zerofill", "00000000000000000008.8", "", "00000000000000000008.8"),
        (MYSQL, "int unsigned", "0", "", "0"),
        (MYSQL, "decimal(8,2)", "-1.50", "", "-1.50"),
        (MYSQL, "bit(2)", "b'1'", "", "b'1'"),
        (MYSQL, "timestamp", "CURRENT_TIMESTAMP", "DEFAULT_GENERATED", "CURRENT_TIMESTAMP"),
        (MYSQL, "datetime(3)", "CURRENT_TIMESTAMP(3)", "on update CURRENT_TIMESTAMP(3)", "CURRENT_TIMESTAMP(3)"),  # 5.7
        (MYSQL, "varchar(99)", "CURRENT_TIMESTAMP", "", "'CURRENT_TIMESTAMP'"),
        (MYSQL, "varchar(36)", "uuid()", "DEFAULT_GENERATED", "uuid()"),
    ],
    ids=str,
)
def test_default_is_an_expression(version: str, type_: str, dflt: str | None, extra: str, default: str | None) -> None:
    schema = imported(version, tables=[TABLE], columns=[column(type=type_, dflt=dflt, extra=extra)]).schema_
    assert schema.nodes[0].columns[0].default == default


def test_index_on_an_expression_or_of_a_kind_of_its_own_is_listed_and_named() -> None:
    rows = [
        index(),
        index(name="by_lower", column_name=None),
        index(name="words", type="FULLTEXT"),
        index(name="place", type="RTREE"),
    ]
    found = imported(tables=[TABLE], columns=[column()], statistics=rows)
    assert [each.name for each in found.schema_.nodes[0].indexes] == ["by_a", "by_lower", "words", "place"]
    assert [(each.code, each.name) for each in found.unsupported_features] == [
        ("INDEX_SIMPLIFIED", f"one.{name}") for name in ("by_lower", "words", "place")
    ]


def test_too_many_tables_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_import_schema, "MAX_TABLES", 2)
    with pytest.raises(Fatal) as refused:
        imported(tables=[TABLE] * 3)
    assert refused.value.code == "TOO_MANY_TABLES"
