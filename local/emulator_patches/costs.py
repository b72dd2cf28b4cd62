# ruff: noqa: SLF001 - the emulator's work is done inside the emulator
"""Work that the emulator repeats in each request, with the same result. Here it is done once.

Each result depends on the arguments alone, so what is kept stays true.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from local.emulator_patches.emulator import module

_PARAMETER = re.compile(r"\{([^}]+)\}")


def compile_routes_once() -> None:
    """Compile the pattern of each route once. The emulator does it for every route of an API, several times in each request."""
    module("services.apigateway")._extract_path_params = path_parameters


def path_parameters(route: str, path: str) -> dict[str, str] | None:
    """Return the parameters in a request's path, or None if it is not the route's."""
    pattern, names = _compiled(route)
    match = pattern.fullmatch(path)
    return dict(zip(names, match.groups(), strict=True)) if match else None


@lru_cache(maxsize=1024)
def _compiled(route: str) -> tuple[re.Pattern[str], list[str]]:
    # Every other part is a name: a group takes its place in the pattern.
    parts = _PARAMETER.split(route)
    groups = ["(.+)" if name.endswith("+") else "([^/]+)" for name in parts[1::2]]
    texts = [re.escape(text) for text in parts[0::2]]
    pattern = texts[0] + "".join(group + text for group, text in zip(groups, texts[1:], strict=True))
    return re.compile(pattern), [name.removesuffix("+") for name in parts[1::2]]


def verify_tokens_once() -> None:
    """Verify the signature of each token once for each key. Its times, issuer, audience and scopes are checked in each request."""
    apis = module("services.apigateway")
    verify = apis._verify_rs256_signature

    @lru_cache(maxsize=256)
    def is_signed(token: str, modulus: str, exponent: str) -> bool:
        return bool(verify(token, {"n": modulus, "e": exponent}))

    def verify_once(token: str, key: Mapping[str, Any]) -> bool:
        return is_signed(token, key.get("n", ""), key.get("e", ""))

    apis._verify_rs256_signature = verify_once


def read_conditions_once() -> None:
    """Read each expression once, and check its grammar once. The emulator does both for every item of a query or scan."""
    tables = module("services.dynamodb")
    tables._condition_syntax_error = lru_cache(maxsize=1024)(tables._condition_syntax_error)
    read = tables._tokenize

    @lru_cache(maxsize=1024)
    def kept(expression: str) -> tuple[Any, ...]:
        return tuple(read(expression))

    tables._tokenize = lambda expression: [*kept(expression)]  # its reader may change the list


def name_callers_by_their_credential() -> None:
    """Name the caller of a signed request by its credential. For the name alone, the emulator reads all policies of the caller."""
    evaluator, responses, router = module("core.iam_evaluator"), module("core.responses"), module("core.router")

    def caller(headers: Mapping[str, str] | None, query: Mapping[str, Any] | None = None) -> str:
        account = responses.get_account_id()
        key = router.extract_access_key_id(headers or {}, query or {})
        found = evaluator.resolve_credential(key, responses._account_from_sts_session(key) or account) if key else None
        return getattr(found, "principal_arn", "") or f"arn:aws:iam::{account}:root"

    evaluator.request_caller_arn = caller
