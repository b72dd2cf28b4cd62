"""A table with a stream, for the scripts that run inside the emulator."""

from typing import Any


def create_table(tables: Any) -> None:
    """Create `table` by the emulator's module of DynamoDB."""
    tables._create_table({
        "TableName": "table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    })  # fmt: skip
