# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Identities, and the conditions of policies."""

import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

from local.emulator_patches.emulator import module


def count_loopback_as_secure() -> None:
    """Count plain HTTP from this machine to itself as TLS. Otherwise a policy that requires TLS denies every call."""
    evaluator = module("core.iam_evaluator")
    resolve = evaluator._resolve_condition_key

    def resolve_securely(key: str, context: Any) -> Any:
        return "true" if key.lower() == "aws:securetransport" else resolve(key, context)

    evaluator._resolve_condition_key = resolve_securely


def allow_batches_of_messages() -> None:
    """Let `sqs:SendMessage` allow `SendMessageBatch`, as AWS does.

    The emulator requires `sqs:SendMessageBatch`, a permission that does not exist on AWS.
    """
    actions = module("core.iam_actions")
    extract = actions.extract_iam_action

    def extract_single(*request: Any) -> Any:
        action = extract(*request)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    actions.extract_iam_action = extract_single


def name_calls_on_one_mapping() -> None:
    """Require the permission for a call on one event source mapping that AWS requires.

    The emulator takes reading one for listing all, and requires no permission to change one.
    """
    actions = module("core.iam_actions")
    name_of = actions._lambda_action
    of_one = {"GET": "GetEventSourceMapping", "PUT": "UpdateEventSourceMapping", "DELETE": "DeleteEventSourceMapping"}

    def name_of_one(method: str, path: str) -> Any:
        _, found, uuid = path.partition("/event-source-mappings/")
        return of_one.get(method) if found and uuid.strip("/") and "/functions/" not in path else name_of(method, path)

    actions._lambda_action = name_of_one


def know_leading_keys() -> None:
    """Give conditions on `dynamodb:LeadingKeys` the partition keys of the items that a request names.

    The emulator does not know this key, so it lets every request pass. Queries, transactions and batches of writes still pass.
    """
    actions, tables = module("core.iam_actions"), module("services.dynamodb")
    context_of = actions.dynamodb_service_context

    def context_with_keys(body: bytes) -> dict[str, Any]:
        keys = [str(next(iter(item[_partition_key(tables, table)].values()))) for table, item in _named_items(body)]
        return {**context_of(body), **({"dynamodb:LeadingKeys": keys} if keys else {})}

    actions.dynamodb_service_context = context_with_keys


def _named_items(body: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the table and the key of each item that a request names."""
    request = json.loads(body or b"{}")
    for name in ("Key", "Item"):
        if name in request:
            yield request["TableName"], request[name]
    for table, wanted in request.get("RequestItems", {}).items():
        for key in wanted["Keys"] if isinstance(wanted, dict) else ():
            yield table, key


def _partition_key(tables: Any, table: str) -> str:
    (name,) = (key["AttributeName"] for key in tables._tables[table]["KeySchema"] if key["KeyType"] == "HASH")
    return str(name)


def derive_role_credentials_from_secret() -> None:
    """Derive a function's credentials from the engine's secret. The emulator derives them from names that anybody can guess.

    They are not random, because links that a function has signed stay valid after a restart with the same secret.
    """
    runtime, functions, sessions = module("core.lambda_runtime"), module("services.lambda_svc"), module("services.sts")
    predictable, alone = runtime.execution_credentials, threading.Lock()

    def secret(config: Any) -> dict[str, str]:
        with alone:  # two processes of one function may start at the same time
            guessable = predictable(config)
            session = sessions._sessions.pop(guessable["AWS_ACCESS_KEY_ID"])
        kept = {name: _mac(value) for name, value in guessable.items()}
        kept["AWS_ACCESS_KEY_ID"] = f"ASIA{kept['AWS_ACCESS_KEY_ID'][:16].upper()}"
        session |= {"SecretAccessKey": kept["AWS_SECRET_ACCESS_KEY"], "SessionToken": kept["AWS_SESSION_TOKEN"]}
        sessions.register_session(kept["AWS_ACCESS_KEY_ID"], session)
        return kept

    runtime.execution_credentials = functions.execution_credentials = secret


def _mac(guessable: str) -> str:
    return hmac.new(os.environ["AWS_SECRET_ACCESS_KEY"].encode(), guessable.encode(), hashlib.sha256).hexdigest()
