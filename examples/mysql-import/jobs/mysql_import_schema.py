"""Read the schema of a MySQL or MariaDB database into nodes and edges, and name what these cannot represent.

Each kind of thing is one query over the whole database, so that 400 tables take no more round trips than three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from asyncjobs import Fatal

MAX_TABLES = 5_000

Row = Mapping[str, Any]
Report = Callable[[float, str], None]


class Query(Protocol):
    """Runs a query and returns all of its rows."""

    def __call__(self, sql: str, /) -> Sequence[Row]: ...


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Column(_Wire):
    """A column, in the table's order."""

    name: str
    type: str = Field(description="As the database writes it, such as `varchar(40)` or `int(10) unsigned`.")
    nullable: bool
    default: str | None = Field(description="The default's expression; null for none.")
    auto_increment: bool
    generated: str | None = Field(description="The expression of a generated column.")
    comment: str


class Index(_Wire):
    """An index other than the primary key."""

    name: str
    columns: list[str]
    unique: bool


class Node(_Wire):
    """A table or a view."""

    id: str = Field(description="Its name.")
    kind: Literal["TABLE", "VIEW"]
    comment: str
    columns: list[Column]
    primary_key: list[str]
    indexes: list[Index]


class Edge(_Wire):
    """A foreign key: from the table that has it to the table that it refers to, which may be the same."""

    id: str = Field(description="The table's name and the constraint's.")
    source: str
    target: str
    source_columns: list[str]
    target_columns: list[str]
    on_update: str
    on_delete: str


class Schema(_Wire):
    """A database's tables and views, and the foreign keys between them."""

    nodes: list[Node]
    edges: list[Edge]


class Remark(_Wire):
    """Something that the schema lacks, or has in a simpler form."""

    code: str
    name: str = Field(description="The table, or the thing itself.")
    message: str


class Imported(_Wire):
    """A schema and what it does not say."""

    schema_: Schema = Field(alias="schema")
    warnings: list[Remark] = Field(description="Parts that may be missing or wrong.")
    unsupported_features: list[Remark] = Field(description="Parts that nodes and edges cannot represent.")


def read_schema(query: Query, report: Report) -> Imported:
    """Read the database that the connection has selected. `report` is called before each step."""
    report(5, "Reading tables")
    tables = query(_TABLES)
    if len(tables) > MAX_TABLES:
        raise Fatal(f"The database has more than {MAX_TABLES:,} tables. Import a part of it.", code="TOO_MANY_TABLES")
    report(15, f"Reading the columns of {len(tables)} tables")
    columns = _by_table(query(_COLUMNS))
    report(50, "Reading indexes")
    indexes = _by_table(query(_INDEXES))
    report(70, "Reading foreign keys")
    keys = query(_FOREIGN_KEYS)
    report(85, "Reading what cannot be represented")
    is_mariadb = "MariaDB" in query("SELECT VERSION() AS version")[0]["version"]
    nodes = [
        _node(table, columns[table["name"]], indexes[table["name"]], is_mariadb=is_mariadb)
        for table in tables
        if _is_node(table)
    ]
    names = {node.id for node in nodes}
    edges = list(_edges(keys))
    return Imported(
        schema=Schema(nodes=nodes, edges=edges),
        warnings=[*_warnings(query, nodes), *_outside(edges, names)],
        unsupported_features=list(_unsupported(query, tables, indexes)),
    )


def _by_table(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["table_name"]].append(row)
    return found


# ── Nodes ──────────────────────────────────────────────────────────────────────────────────────────

_TABLES = """
    SELECT table_name AS name, table_type AS type, COALESCE(table_comment, '') AS comment,
      COALESCE(create_options, '') AS options
    FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name"""

_COLUMNS = """
    SELECT table_name AS table_name, column_name AS name, column_type AS type, is_nullable AS nullable,
      column_default AS dflt, extra AS extra, column_comment AS comment, generation_expression AS generated
    FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"""

_INDEXES = """
    SELECT table_name AS table_name, index_name AS name, non_unique AS non_unique, column_name AS column_name,
      sub_part AS sub_part, index_type AS type
    FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index"""

_KINDS: Mapping[str, Literal["TABLE", "VIEW"]] = {"BASE TABLE": "TABLE", "SYSTEM VERSIONED": "TABLE", "VIEW": "VIEW"}
_PRIMARY = "PRIMARY"


def _is_node(table: Row) -> bool:
    return table["type"] in _KINDS


def _node(table: Row, columns: Sequence[Row], indexes: Sequence[Row], *, is_mariadb: bool) -> Node:
    kind = _KINDS[table["type"]]
    by_name: dict[str, list[Row]] = {}
    for row in indexes:
        by_name.setdefault(row["name"], []).append(row)
    primary = by_name.pop(_PRIMARY, [])
    return Node(
        id=table["name"],
        kind=kind,
        comment=table["comment"] if kind == "TABLE" else "",  # a view's is only "VIEW"
        columns=[_column(row, is_mariadb=is_mariadb) for row in columns],
        primary_key=[row["column_name"] for row in primary],
        indexes=[
            Index(
                name=name, columns=[row["column_name"] for row in rows if row["column_name"]], unique=not rows[0]["non_unique"]
            )
            for name, rows in by_name.items()
        ],
    )


def _column(row: Row, *, is_mariadb: bool) -> Column:
    default = _text(row["dflt"])
    return Column(
        name=row["name"],
        type=_text(row["type"]),
        nullable=row["nullable"] == "YES",
        default=_expression_of_mariadb(default) if is_mariadb else _expression_of_mysql(default, row),
        auto_increment="auto_increment" in row["extra"].lower(),
        generated=_text(row["generated"]) or None,
        comment=row["comment"],
    )


def _expression_of_mariadb(default: str | None) -> str | None:
    """Return the default, which is an expression already; NULL is the lack of one."""
    return None if default == "NULL" else default


def _expression_of_mysql(default: str | None, row: Row) -> str | None:
    """Return the default as an expression. MySQL names a constant by its text alone, without quotes."""
    type_ = _text(row["type"])
    if default is None or "DEFAULT_GENERATED" in row["extra"].upper() or type_.startswith(_NUMBERS):
        return default
    if type_.startswith(("timestamp", "datetime")) and default.startswith("CURRENT_TIMESTAMP"):  # MySQL 5.7
        return default
    return "'" + default.replace("\\", "\\\\").replace("'", "''") + "'"


_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "year")
"""How the types begin whose constants have no quotes."""


def _text(value: Any) -> Any:
    """Return the text of a column of `information_schema`, which MySQL gives as bytes where it may be long."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# ── Edges ──────────────────────────────────────────────────────────────────────────────────────────

_FOREIGN_KEYS = """
    SELECT k.table_name AS table_name, k.constraint_name AS name, k.column_name AS column_name,
      IF(k.referenced_table_schema = DATABASE(), NULL, k.referenced_table_schema) AS other_schema,
      k.referenced_table_name AS target, k.referenced_column_name AS target_column,
      r.update_rule AS on_update, r.delete_rule AS on_delete
    FROM information_schema.key_column_usage k
    JOIN information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema
      AND r.table_name = k.table_name AND r.constraint_name = k.constraint_name
    WHERE k.table_schema = DATABASE() AND r.constraint_schema = DATABASE() AND k.referenced_table_name IS NOT NULL
    ORDER BY k.table_name, k.constraint_name, k.ordinal_position"""


def _edges(rows: Iterable[Row]) -> Iterator[Edge]:
    by_name: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_name.setdefault((row["table_name"], row["name"]), []).append(row)
    for (table, name), parts in by_name.items():
        first = parts[0]
        yield Edge(
            id=f"{table}.{name}",
            source=table,
            target=f"{first['other_schema']}.{first['target']}" if first["other_schema"] else first["target"],
            source_columns=[row["column_name"] for row in parts],
            target_columns=[row["target_column"] for row in parts],
            on_update=first["on_update"],
            on_delete=first["on_delete"],
        )


# ── Remarks ────────────────────────────────────────────────────────────────────────────────────────


def _warnings(query: Query, nodes: Sequence[Node]) -> Iterator[Remark]:
    hidden = {row["name"] for row in query(_HIDDEN_VIEWS)}
    for node in nodes:
        if node.id in hidden:
            yield Remark(
                code="VIEW_HIDDEN",
                name=node.id,
                message="The user may not see how the view is made (SHOW VIEW); its columns may be missing.",
            )
        elif not node.columns:
            yield Remark(code="COLUMNS_HIDDEN", name=node.id, message="The user may see none of its columns.")
        elif node.kind == "TABLE" and not node.primary_key:
            yield Remark(code="NO_PRIMARY_KEY", name=node.id, message="The table has no primary key.")


def _outside(edges: Iterable[Edge], names: Iterable[str]) -> Iterator[Remark]:
    known = set(names)
    for edge in edges:
        if edge.target not in known:
            yield Remark(
                code="TARGET_OUTSIDE", name=edge.id, message=f"The foreign key refers to {edge.target}, which is not a node."
            )


_HIDDEN_VIEWS = """
    SELECT table_name AS name FROM information_schema.views
    WHERE table_schema = DATABASE() AND COALESCE(view_definition, '') = ''"""

_NAMED: Sequence[tuple[str, str, str]] = (
    (
        "VIEW_DEFINITION",
        "SELECT table_name AS name FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY 1",
        "The view is a node with its columns; its query is left out.",
    ),
    (
        "TRIGGER",
        "SELECT trigger_name AS name FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1",
        "Triggers are left out.",
    ),
    (
        "ROUTINE",
        "SELECT routine_name AS name FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY 1",
        "Stored procedures and functions are left out.",
    ),
    (
        "EVENT",
        "SELECT event_name AS name FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY 1",
        "Scheduled events are left out.",
    ),
    (
        "CHECK",
        (
            "SELECT constraint_name AS name FROM information_schema.table_constraints"
            " WHERE constraint_schema = DATABASE() AND constraint_type = 'CHECK' ORDER BY 1"
        ),
        "Check constraints are left out.",
    ),
    (
        "PARTITIONS",
        (
            "SELECT DISTINCT table_name AS name FROM information_schema.partitions"
            " WHERE table_schema = DATABASE() AND partition_name IS NOT NULL ORDER BY 1"
        ),
        "The table is a node; its partitions are left out.",
    ),
)
"""What a query names: its code, the query, and what becomes of it."""


def _unsupported(query: Query, tables: Sequence[Row], indexes: Mapping[str, Sequence[Row]]) -> Iterator[Remark]:
    for code, sql, message in _NAMED:
        for row in query(sql):
            yield Remark(code=code, name=row["name"], message=message)
    for table in tables:
        if table["type"] == "SYSTEM VERSIONED":
            yield Remark(code="SYSTEM_VERSIONING", name=table["name"], message="The table is a node without its history.")
        elif not _is_node(table):
            yield Remark(code="OTHER_OBJECT", name=table["name"], message=f"A {table['type'].lower()} is not a table.")
    for table_name, rows in indexes.items():
        for row in rows:
            if reason := _simplified(row):
                yield Remark(code="INDEX_SIMPLIFIED", name=f"{table_name}.{row['name']}", message=reason)


def _simplified(row: Row) -> str | None:
    """Return what an index of plain columns does not say."""
    if row["type"] not in {"BTREE", "HASH", "RTREE"}:
        return f"The index is listed without its type, {row['type']}."
    if row["type"] == "RTREE":
        return "The index is listed without its type, SPATIAL."
    if row["column_name"] is None:
        return "The index is on an expression, which is left out."
    return "The index is on the beginning of a column." if row["sub_part"] is not None else None
