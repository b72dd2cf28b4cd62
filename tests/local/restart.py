"""Print what a table's stream has for its reader after a restart that keeps the state, as JSON.

Three changes were written, and the first was delivered. Runs in .venv-aws, inside the emulator: it keeps its state only when it is
stopped. `patched` applies the patch first.
"""

import json
import sys
from typing import Any

from local.emulator_patches import dynamodb
from local.emulator_patches.emulator import module
from tests.local.stream_table import create_table

MAPPING = "00000000-0000-4000-8000-000000000000"


def main() -> None:
    tables, functions, persistence = (
        module(f"{name}") for name in ("services.dynamodb", "services.lambda_svc", "core.persistence")
    )
    if "patched" in sys.argv:
        dynamodb.keep_streams()
    create_table(tables)
    for number in range(3):
        tables._put_item({"TableName": "table", "Item": {"pk": {"S": str(number)}}})
    functions._esms[MAPPING] = {"UUID": MAPPING, "EventSourceArn": tables._tables["table"]["LatestStreamArn"]}
    functions._dynamodb_stream_positions[MAPPING] = 1

    def kept(state: Any) -> Any:
        return json.loads(json.dumps(state, default=persistence._json_default), object_hook=persistence._json_object_hook)

    states = {each: kept(each.get_state()) for each in (tables, functions)}
    for records in (tables._stream_records, tables._stream_trimmed, functions._esms, functions._dynamodb_stream_positions):
        records._data.clear()
    for each, state in states.items():
        each.load_persisted_state(state)
    position = functions._dynamodb_stream_positions[MAPPING]
    records = tables.stream_records_since("table", position, 10)
    sys.stdout.write(json.dumps([record["dynamodb"]["NewImage"]["pk"]["S"] for record in records]))


if __name__ == "__main__":
    main()
