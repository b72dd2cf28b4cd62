"""The check of a deployed stack: what its lines say. tests/deployed/operations/test_verify.py runs it on a stack."""

from __future__ import annotations

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tools import verify
from tools.verify import Check, Deployment, FailsError, UnseenError, Verdict

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
