# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Identities, and the conditions of policies."""

import hashlib
import hmac
import os
import threading
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
