# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""DynamoDB tables: time to live, and the stream across a restart."""

import threading
from collections.abc import Iterator
from typing import Any

from local.emulator_patches.emulator import Properties, after_provisioning, module

REAPER = "dynamodb-ttl-reaper"  # the emulator's thread that deletes expired items


def obey_time_to_live() -> None:
    """Switch a table's TTL on by `TimeToLiveSpecification`. The emulator ignores the property, so expired items stay."""
    after_provisioning("AWS::DynamoDB::Table", _set_time_to_live)


def stream_expiries() -> None:
    """Write each expiry to the table's stream, as AWS does: a REMOVE by dynamodb.amazonaws.com.

    The emulator deletes expired items without a stream record.
    """
    tables = module("services.dynamodb")
    remove, build_record = tables._remove_item, tables._build_change_record

    def remove_and_record(table: Any, *key: Any) -> Any:
        removed = remove(table, *key)
        if removed is not None and _is_reaper():
            _, _, _, region, account, _ = table["TableArn"].split(":", 5)
            with module("core.responses").request_scope(account, region):
                tables._emit_stream_event(table["TableName"], "REMOVE", removed, None)
        return removed

    def build_signed_record(*arguments: Any) -> Any:
        record = build_record(*arguments)
        if _is_reaper():
            record["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        return record

    tables._remove_item, tables._build_change_record = remove_and_record, build_signed_record


def keep_streams() -> None:
    """Keep what a table's stream has still to deliver, when the state is kept across a restart (`PERSIST_STATE`).

    The emulator keeps the places of the readers and not the stream. So records that were not delivered are lost, and after them as many as had
    been delivered before.
    """
    tables = module("services.dynamodb")
    get_state, load = tables.get_state, tables.load_persisted_state

    def get_state_and_streams() -> Any:
        return {**get_state(), _STREAMS: list(_undelivered())}

    def load_with_streams(state: Any) -> None:
        load(state)
        for account, region, table_name, position, records in (state or {}).get(_STREAMS, []):
            tables._stream_trimmed.set_scoped(account, region, table_name, position)
            tables._stream_records.set_scoped(account, region, table_name, records)

    tables.get_state, tables.load_persisted_state = get_state_and_streams, load_with_streams


_STREAMS = "streams"


def _undelivered() -> Iterator[tuple[str, str, str, int, list[Any]]]:
    """Yield each table's records from the place of its slowest reader on, and that place."""
    tables, functions = module("services.dynamodb"), module("services.lambda_svc")
    positions: dict[tuple[str, str, str], list[int]] = {}
    for account, region, mapping in functions._iter_all_esms():
        source = mapping.get("EventSourceArn", "")
        if ":dynamodb:" in source:
            table_name = source.partition("/stream/")[0].rpartition("/")[2]
            position = functions._dynamodb_stream_positions.get_scoped(account, region, mapping["UUID"], 0)
            positions.setdefault((account, region, table_name), []).append(position)
    for (account, region, table_name), read in positions.items():
        scope: Any = {"account_id": account, "region": region}
        position = max(min(read), tables.stream_start_position(table_name, **scope))
        end = tables.stream_end_position(table_name, **scope)
        yield account, region, table_name, position, tables.stream_records_since(table_name, position, end, **scope)


def _set_time_to_live(table_name: str, properties: Properties) -> None:
    tables = module("services.dynamodb")
    specification = properties.get("TimeToLiveSpecification")
    if specification and str(specification["Enabled"]).lower() == "true":
        setting = {"TimeToLiveStatus": "ENABLED", "AttributeName": specification["AttributeName"]}
        tables._ttl_settings[table_name] = setting
    else:
        tables._ttl_settings.pop(table_name, None)


def _is_reaper() -> bool:
    return threading.current_thread().name == REAPER
