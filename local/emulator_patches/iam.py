# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""What policies decide by; only an engine that is started with AUTH=true asks them."""

from typing import Any

from local.emulator_patches.emulator import module


def count_loopback_as_secure() -> None:
    """Calls to AWS come by TLS, and policies deny those that do not.

    Calls to the emulator come by plain HTTP, from this machine to itself, and such a policy would deny each of them.
    """
    evaluator = module("core.iam_evaluator")
    resolve = evaluator._resolve_condition_key

    def resolve_securely(key: str, context: Any) -> Any:
        return "true" if key.lower() == "aws:securetransport" else resolve(key, context)

    evaluator._resolve_condition_key = resolve_securely


def ask_for_one_message_as_for_ten() -> None:
    """AWS has no permission of its own for a batch of messages: `sqs:SendMessage` allows `SendMessageBatch`.

    The emulator asks for `sqs:SendMessageBatch`, which on AWS nobody can grant.
    """
    actions = module("core.iam_actions")
    extract = actions.extract_iam_action

    def extract_single(*request: Any) -> Any:
        action = extract(*request)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    actions.extract_iam_action = extract_single
