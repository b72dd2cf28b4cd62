"""Print the records on a table's stream, as JSON, after an item was put and expired.

Runs in .venv-aws, inside the emulator, since its reaper runs only once a minute. `patched` applies the patch first.
"""

import json
import sys
import threading

from local.emulator_patches import dynamodb
from local.emulator_patches.emulator import module
from tests.local.stream_table import create_table


def main() -> None:
    tables = module("services.dynamodb")
    if "patched" in sys.argv:
        dynamodb.stream_expiries()
    create_table(tables)
    tables._put_item({"TableName": "table", "Item": {"pk": {"S": "1"}}})
    table = tables._tables["table"]
    [(pk, rows)] = table["items"].items()
    [sk] = rows
    [reaper] = [thread for thread in threading.enumerate() if thread.name == dynamodb.REAPER]
    assert "_remove_item" in reaper._target.__code__.co_names  # type: ignore[attr-defined]  # called by the real one
    stand_in = threading.Thread(name=reaper.name, target=lambda: tables._remove_item(table, pk, sk))
    stand_in.start()
    stand_in.join()
    sys.stdout.write(json.dumps(tables._stream_records["table"]))


if __name__ == "__main__":
    main()
