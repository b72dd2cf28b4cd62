"""`document.analyze` on the deployed stack: without a model, then with the stand-in and its key from Secrets Manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.samples import pdfs, raw_pdf
from local.stack import LocalStack
from tests.support.chat_model import KEY, MODEL, StandIn, busy, fails, stand_in
from tests.support.deployed import Api, Caller, Job, wait_until

SECRET = "asyncjobs/analyze"
"""The name of the secret with the key, as the example's template has it for the local stack."""


def analyzed(caller: Caller, **given: Any) -> Job:
    answer = caller.post("/analyze", json=given)
    assert answer.status_code == 202, answer.text
    return caller.wait_for(answer.json())


def test_without_a_model_the_summary_is_sentences_and_says_so(alice: Caller) -> None:
    job = analyzed(alice, key=alice.upload(pdfs.report(), "application/pdf"))
    assert (job["jobType"], job["status"]) == ("document.analyze", "COMPLETED")
    assert (job["result"]["method"], job["result"]["complete"], job["result"]["tokens"]) == ("EXTRACTIVE", True, 0)
    assert job["result"]["notes"] == ["No model is configured: these are sentences of the document."]
    assert len(job["result"]["summary"]) > 100


def test_same_input_is_the_same_job(alice: Caller) -> None:
    text = "The harbor office keeps a log of each ship that comes in. It is kept for ten years."
    first = analyzed(alice, text=text)
    again = alice.post("/analyze", json={"text": text})
    other = alice.post("/analyze", json={"text": text, "question": "How long?"})
    assert (again.status_code, again.json()["asyncJobId"]) == (200, first["asyncJobId"])
    assert other.json()["asyncJobId"] != first["asyncJobId"]


def test_request_without_a_document_is_400_and_says_what_it_needs(alice: Caller) -> None:
    for given, what in (({}, "key, text"), ({"key": "uploads/1", "text": "A text."}, "send one of them")):
        answer = alice.post("/analyze", json=given)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
        assert what in answer.json()["errors"][0]["detail"]


def test_upload_of_another_owner_is_missing(alice: Caller, bob: Caller) -> None:
    job = analyzed(alice, key=bob.upload(b"A secret of bob, which is long enough for a sentence."))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "INPUT_MISSING")


def test_document_without_text_fails_with_advice(alice: Caller) -> None:
    job = analyzed(alice, key=alice.upload(raw_pdf.with_contents(b"")))
    assert (job["error"]["code"], job["error"]["retryable"]) == ("NO_TEXT", False)


def test_client_of_the_polling_document_gets_the_answers_that_it_documents(api: Api, alice: Caller) -> None:
    polling = f"{api.outputs.api_url}/compat/polling/api/v1"
    headers = {"authorization": alice.http.headers["authorization"]}
    given = {"text": "A text that a client of the polling document sends, to be analyzed by its job."}
    with httpx.Client(headers=headers, trust_env=False, timeout=120) as client:
        started = client.post(f"{polling}/analyze/", json=given)
        job = started.json()
        assert (started.status_code, job["status"], job["message"]) == (202, "PENDING", "Analysis started")
        alice.wait_for({"asyncJobId": job["job_id"]})
        status = client.get(f"{polling}/jobs/{job['job_id']}").json()
    assert (status["status"], status["task_type"], status["input_data"]) == ("SUCCESS", "document.analyze", given)
    assert status["result"]["method"] == "EXTRACTIVE"


# ── With a model ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(stack: LocalStack) -> Iterator[StandIn]:
    """Let the worker use the stand-in, as the parameters AnalyzeEndpoint and AnalyzeModel would."""
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    worker = cloudformation.describe_stack_resource(StackName=stack.outputs.stack_name, LogicalResourceId="WorkerFunction")
    name = worker["StackResourceDetail"]["PhysicalResourceId"]
    stack.session.client("secretsmanager", endpoint_url=stack.endpoint_url).create_secret(Name=SECRET, SecretString=KEY)
    functions: Any = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def configure(more: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **more}})
        wait_until(lambda: functions.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")

    with stand_in() as server:
        configure({"ANALYZE_ENDPOINT": server.endpoint, "ANALYZE_MODEL": MODEL})
        yield server
        configure({})


@pytest.fixture(autouse=True)
def _answers(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        server: StandIn = request.getfixturevalue("server")
        server.turns.clear()
        server.requests.clear()
        server.keys.clear()


def test_document_is_summarized_by_the_model(server: StandIn, alice: Caller) -> None:
    job = analyzed(alice, key=alice.upload(raw_pdf.long_report(pages=12)))
    assert job["status"] == "COMPLETED", job["error"]
    result = job["result"]
    assert (result["method"], result["model"], result["complete"], result["notes"]) == ("MODEL", MODEL, True, [])
    assert result["tokens"] > 0
    assert len(server.requests) > 2


def test_busy_model_gets_the_request_again_within_the_attempt(server: StandIn, alice: Caller) -> None:
    server.turns[:] = [busy("2")]
    job = analyzed(alice, text="A text for a model that is busy for two seconds.")
    assert (job["status"], job["attempt"], len(server.requests)) == ("COMPLETED", 1, 2)


def test_failing_model_leads_to_another_attempt(server: StandIn, alice: Caller) -> None:
    server.turns[:] = [fails(500)]
    job = analyzed(alice, text="A text for a model that fails once.")
    assert (job["status"], job["attempt"]) == ("COMPLETED", 2)


def test_key_of_the_deployment_reaches_the_model(server: StandIn, alice: Caller) -> None:
    analyzed(alice, text="A text for a model that needs a key.")
    assert server.keys == [f"Bearer {KEY}"]


def test_refused_key_fails_the_job_and_no_answer_has_the_key(server: StandIn, alice: Caller) -> None:
    server.turns[:] = [fails(401)]
    job = analyzed(alice, text="A text for a model that refuses the key.")
    assert (job["status"], job["error"]["code"]) == ("FAILED", "MODEL_REFUSED_KEY")
    assert KEY not in str(job)


def test_model_that_fails_once_more_than_there_are_attempts_fails_the_job(server: StandIn, api: Api) -> None:
    server.turns[:] = [fails(503)] * 3
    job = analyzed(api.caller("carol"), text="A text for a model that is down.")
    assert (job["status"], job["attempt"], job["error"]["code"]) == ("FAILED", 3, "MODEL_UNAVAILABLE")
