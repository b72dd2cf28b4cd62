# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""DynamoDB tables: time to live."""

import threading
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
