"""Print, as JSON, what the emulator answers in the places where a patch saves time, and how often it then did the work.

Runs in .venv-aws, inside the emulator. `patched` applies the patches first.
"""

import base64
import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.emulator_patches import costs, sam
from local.emulator_patches.emulator import module

ROUTES = ["/jobs", "/jobs/{id}", "/jobs/{id}/artifacts/{path+}", "/{proxy+}", "/a.b/{c}.json", "/{a}-{b}", "/"]
PATHS = ["/", "/jobs", "/jobs/", "/jobs/1", "/jobs/1/2", "/jobs/1/artifacts/x/y", "/aXb/1.json", "/a.b/1.json", "/x-y-z", "/\n"]
CONDITIONS = [
    "#s = :a",
    "attribute_not_exists(#s) OR (attempt < :n AND begins_with(#s, :a))",
    "#s IN (:a, :n)",
    "#s =",
    "((#s = :a))",
    "#s = :a AND status = :a",
    "attempt ~ :n",
]
ITEMS: list[Any] = [{}, {"status": {"S": "a"}}, {"status": {"S": "ab"}, "attempt": {"N": "1"}}]
PROJECT = Path(__file__).parents[2]


def main() -> None:
    patched = "patched" in sys.argv
    if patched:
        costs.compile_routes_once()
    found = {
        "routes": _routes(),
        "tokens": _tokens(patched=patched),
        "callers": _callers(patched=patched),
        "conditions": _conditions(patched=patched),
    }
    sys.stdout.write(json.dumps({**found, **_transformed(patched=patched)}, sort_keys=True))


def _routes() -> list[Any]:
    apis = module("services.apigateway")
    return [apis._extract_path_params(route, path) for route in ROUTES for path in PATHS]


def _tokens(*, patched: bool) -> dict[str, Any]:
    """Return whether tokens are valid: signed by the key, again, changed, and signed by another key; and the number of verifications."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    apis = module("services.apigateway")
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    public = {
        "n": encoded(key.public_key().public_numbers().n.to_bytes(256, "big")),
        "e": encoded((65537).to_bytes(3, "big")),
    }
    head = f"{encoded(b'{}')}.{encoded(b'{}')}"
    good, bad = (f"{head}.{encoded(each.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256()))}" for each in (key, other))
    verify, verified = apis._verify_rs256_signature, []

    def count(token: str, jwk: Any) -> bool:
        verified.append(token)
        return bool(verify(token, jwk))

    apis._verify_rs256_signature = count
    if patched:
        costs.verify_tokens_once()
    answers = [apis._verify_rs256_signature(token, public) for token in (good, good, good + "A", bad, bad, "no token")]
    unlike = apis._verify_rs256_signature(good, {**public, "n": encoded(b"\xff" * 256)})
    return {"valid": answers, "with another key": unlike, "verifications": len(verified)}


def _conditions(*, patched: bool) -> dict[str, Any]:
    """Return what each condition says of each item, twice, and how often an expression was read."""
    tables = module("services.dynamodb")
    read, expressions = tables._tokenize, []

    def note(expression: str) -> Any:
        expressions.append(expression)
        return read(expression)

    tables._tokenize = note
    if patched:
        costs.read_conditions_once()
    answers = [_answer_of(tables, condition, item) for _ in range(2) for condition in CONDITIONS for item in ITEMS]
    return {"answers": answers, "reads": len(expressions)}


def _answer_of(tables: Any, condition: str, item: Any) -> Any:
    try:
        return tables._evaluate_condition(condition, item, {":a": {"S": "a"}, ":n": {"N": "2"}}, {"#s": "status"})
    except ValueError as error:
        return str(error)


def _callers(*, patched: bool) -> dict[str, Any]:
    """Return the names of the account itself, of a user, of a role, of a stranger and of nobody; and how often policies were read."""
    evaluator, users, sessions = module("core.iam_evaluator"), module("services.iam"), module("services.sts")
    gather, gathered = evaluator._gather_role_policies, []

    def count(*role: Any) -> Any:
        gathered.append(role)
        return gather(*role)

    evaluator._gather_role_policies = count
    users._roles["worker"] = {"RoleName": "worker", "InlinePolicies": {}, "AttachedPolicies": []}
    users._users["bob"] = {"UserName": "bob", "Arn": "arn:aws:iam::000000000000:user/bob", "UserId": "AIDABOB"}
    users._access_keys["AKIABOB"] = {"Status": "Active", "SecretAccessKey": "s", "UserName": "bob"}
    arn = "arn:aws:sts::000000000000:assumed-role/worker/it"
    session = {"Arn": arn, "SecretAccessKey": "s", "SessionToken": "t", "PrincipalType": "AssumedRole", "UserId": "AROA:it"}
    sessions.register_session("ASIAWORKER", session)
    if patched:
        costs.name_callers_by_their_credential()
    scope = "20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
    keys = (os.environ["AWS_ACCESS_KEY_ID"], "AKIABOB", "ASIAWORKER", "AKIASTRANGER")
    headers = [*({"authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}"} for key in keys), {}, None]
    return {"names": [evaluator.request_caller_arn(each) for each in headers], "readings": len(gathered)}


def _transformed(*, patched: bool) -> dict[str, Any]:
    """Return the project's template as SAM transforms it, and how often its API's definition was copied."""
    editor: Any = import_module("samtranslator.open_api.open_api")
    copy, copied = editor._deepcopy, []

    def count(definition: Any) -> Any:
        copied.append(definition)
        return copy(definition)

    editor._deepcopy = count
    if not patched:
        sam.edit_definitions_in_place = lambda: None
    sam.transform_with_parameters()
    engine = module("services.cloudformation.engine")
    text = re.sub(r"(CodeUri|ContentUri): \S+", r"\1: s3://bucket/key", (PROJECT / "template.yaml").read_text())
    return {"template": engine._apply_transforms(engine._parse_template(text)), "copies": len(copied)}


if __name__ == "__main__":
    main()
