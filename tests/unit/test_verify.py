"""The check of a deployed stack: what its lines say. tests/deployed/operations/test_verify.py runs it on a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tools import verify
from tools.verify import Check, Deployment, FailsError, Finding, UnseenError, Verdict

SESSION = boto3.Session(region_name="us-east-1")


def deployment(endpoint_url: str | None = None) -> Deployment:
    return Deployment("stack", SESSION, endpoint_url, "token", None, "https://api.example")


def refused(code: str) -> Check:
    def call(_: Deployment) -> str:
        raise ClientError({"Error": {"Code": code}}, "GetItem")

    return call


def raising(error: Exception) -> Check:
    def call(_: Deployment) -> str:
        raise error

    return call


@pytest.mark.parametrize(
    ("check", "endpoint_url", "line"),
    [
        (lambda _: "seen", None, "HOLDS   It holds: seen"),
        (raising(FailsError("do this")), None, "FAILS   It holds: do this"),
        (raising(UnseenError("no emulator has it")), None, "UNSEEN  It holds: no emulator has it"),
        (refused("AccessDenied"), None, "UNSEEN  It holds: your credentials may not call GetItem"),
        (refused("ValidationException"), None, "FAILS   It holds: GetItem answered ValidationException"),
        (
            refused("InvalidAction"),
            "http://127.0.0.1:1",
            "UNSEEN  It holds: the local engine does not answer GetItem (InvalidAction)",
        ),
    ],
)
def test_outcome_of_a_check_becomes_one_line(check: Check, endpoint_url: str | None, line: str) -> None:
    (finding,) = verify.findings(deployment(endpoint_url), [("It holds", check)])
    assert str(finding) == line


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), EndpointConnectionError(endpoint_url="x")])
def test_service_that_does_not_answer_fails_its_line_and_not_the_others(error: Exception) -> None:
    found = list(verify.findings(deployment(), [("One", raising(error)), ("Two", lambda _: "seen")]))
    assert [finding.verdict for finding in found] == [Verdict.FAILS, Verdict.HOLDS]


def test_unknown_stack_is_an_error_that_names_what_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert verify.main(["--stack", "missing", "--region", "us-east-1"]) == 2
    assert "STACK=" in capsys.readouterr().err


# ── Lines that the local stack cannot show ───────────────────────────────────────────────────────────


def only(deployment: Deployment, assumption: str) -> Finding:
    (check,) = [each for each in verify.CHECKS if each[0] == assumption]
    (finding,) = verify.findings(deployment, [check])
    return finding


@pytest.mark.parametrize(("size", "verdict"), [(1_000, Verdict.HOLDS), (9_000, Verdict.FAILS)])
def test_token_that_leaves_no_room_for_headers_fails(size: int, verdict: Verdict) -> None:
    found = replace(deployment(), token="x" * size)
    assert only(found, "The token leaves room for other headers").verdict is verdict


ISSUER = "https://issuer.example/"
RSA = {"kty": "RSA", "kid": "1"}


@pytest.mark.parametrize(
    ("issuer", "keys", "verdict", "detail"),
    [
        (ISSUER, [RSA, {"kty": "EC", "kid": "2"}], Verdict.HOLDS, "1 of 2 keys"),
        (ISSUER.removesuffix("/"), [RSA], Verdict.FAILS, "to the letter"),
        (ISSUER, [{"kty": "EC", "kid": "2"}, {"kty": "RSA"}], Verdict.FAILS, "no other signature"),
    ],
)
def test_issuer_whose_tokens_the_gateway_rejects_fails(
    monkeypatch: pytest.MonkeyPatch, issuer: str, keys: list[dict[str, str]], verdict: Verdict, detail: str
) -> None:
    answers = {
        f"{ISSUER}.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}keys"},
        f"{ISSUER}keys": {"keys": keys},
    }

    def get(url: str, **_: object) -> httpx.Response:
        return httpx.Response(200, json=answers[url], request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    found = deployment()
    found.parameters = {"JwtIssuer": issuer}
    finding = only(found, "The issuer's keys are RSA keys with ids, and it answers in time")
    assert finding.verdict is verdict
    assert detail in finding.detail


class Logged(Deployment):
    """A deployment whose functions have logged these lines."""

    written: Mapping[str, list[str]]

    def lines(self, function: str, term: str, since: datetime, *, seconds: float = 0) -> list[str]:
        return [line for line in self.written[function] if term in line]


def logged(**written: list[str]) -> Logged:
    found = Logged("stack", SESSION, None, "token", None, "https://api.example")
    found.written = written
    return found


def sweep(request: str, due: int, milliseconds: int) -> list[str]:
    report = f"REPORT RequestId: {request}\tDuration: 9.99 ms\tBilled Duration: {milliseconds} ms\tMemory Size: 256 MB\n"
    return [f'{{"message": "SWEPT", "requestId": "{request}", "lookedAt": {due}}}', report]


def test_time_of_a_sweep_is_that_of_sweeps_with_many_due_jobs() -> None:
    lines = [*sweep("a", 1_000, 5_000), *sweep("b", 500, 1_500), *sweep("c", 3, 700)]
    finding = only(logged(Sweeper=lines), "Time of a sweep with many due jobs")
    assert (finding.verdict, finding.detail) == (Verdict.HOLDS, "median 4.0 ms per due job, in 2 sweeps")


def test_time_of_a_sweep_is_unseen_without_a_backlog() -> None:
    finding = only(logged(Sweeper=sweep("c", 3, 700)), "Time of a sweep with many due jobs")
    assert finding.verdict is Verdict.UNSEEN


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (['{"routeKey": "GET /x"}'], Verdict.HOLDS),
        ([], Verdict.FAILS),
        (['{"routeKey": "GET /x", "authorizerError": "said "no""}'], Verdict.FAILS),
    ],
)
def test_access_log_without_lines_or_with_broken_ones_fails(lines: list[str], verdict: Verdict) -> None:
    assert only(logged(Api=lines), "The API writes its access log").verdict is verdict


def test_status_of_a_throttled_function_is_read_from_the_access_log() -> None:
    lines = [
        '{"status": "503", "integrationError": "Lambda throttled the request: Rate exceeded"}',
        '{"status": "200", "integrationError": "-"}',
    ]
    finding = only(logged(Api=lines), "What a client gets when Lambda throttles a function")
    assert (finding.verdict, finding.detail) == (Verdict.HOLDS, "status 503")
