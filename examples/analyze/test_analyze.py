"""`document.analyze` with a model, with one that fails, and without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pydantic import ValidationError

from asyncjobs import Fatal, JobCancelled, Retry
from asyncjobs.testing import FakeContext
from jobs import analyze as analyze_module
from jobs import document_extract
from jobs.analyze import PART, Analysis, AnalysisInput, analyze, model_of
from local.samples import pdfs, raw_pdf
from tests.support.chat_model import ANSWERS, IS_CUT, KEY, MODEL, StandIn, busy, fails, stand_in

UPLOAD = "uploads/00000000-0000-4000-8000-000000000001"
SENTENCE = "The harbor office keeps a log of each ship that comes in and of its cargo. "
PARTS = 4
LONG = SENTENCE * (PARTS * PART // len(SENTENCE) - 1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as server:
        monkeypatch.setenv("ANALYZE_ENDPOINT", server.endpoint)
        monkeypatch.setenv("ANALYZE_MODEL", MODEL)
        yield server


def analyzed(text: str, context: FakeContext | None = None, **options: Any) -> Analysis:
    return analyze(AnalysisInput(text=text, **options), context or FakeContext(remaining_seconds=300))


def upload(data: bytes) -> FakeContext:
    return FakeContext(inputs={UPLOAD: data}, remaining_seconds=300)


# ── With a model ───────────────────────────────────────────────────────────────────────────────────────


def test_short_text_is_summarized_by_one_request(server: StandIn) -> None:
    found = analyzed(SENTENCE)
    assert (found.method, found.model, found.complete, found.notes) == ("MODEL", MODEL, True, [])
    assert found.summary.startswith("It says: The harbor office keeps")
    assert len(server.requests) == 1
    assert found.tokens > 20


def test_long_text_is_read_in_parts_and_joined(server: StandIn) -> None:
    context = FakeContext(remaining_seconds=300)
    found = analyzed(LONG, context)
    assert found.complete
    assert len(server.requests) == PARTS + 1
    texts = [request["messages"][1]["content"] for request in server.requests]
    assert sum(text.count(SENTENCE.strip()) for text in texts[:PARTS]) == LONG.count(SENTENCE.strip())
    assert texts[-1].count("It says:") == PARTS
    assert [message for _, message in context.reports] == [
        "Reading the document",
        *(f"The model reads part {number} of {PARTS}" for number in range(1, PARTS + 1)),
        "The model writes the summary",
    ]
    assert found.tokens == sum(sum(len(m["content"]) for m in request["messages"]) // 4 + 20 for request in server.requests)


def test_question_reaches_the_model(server: StandIn) -> None:
    analyzed(LONG, question="Which ships came in?")
    assert all("Which ships came in?" in request["messages"][0]["content"] for request in server.requests)


def test_pdf_is_read_page_by_page(server: StandIn) -> None:
    context = upload(raw_pdf.long_report(pages=3))
    found = analyze(AnalysisInput(key=UPLOAD), context)
    assert (found.method, found.complete) == ("MODEL", True)
    assert (10 * 2 / 3, "Reading page 2 of 3") in context.reports
    assert "Day 1, " in server.requests[0]["messages"][1]["content"]


def test_text_upload_is_read(server: StandIn) -> None:
    analyze(AnalysisInput(key=UPLOAD), upload("\ufeffGrößere Häfen".encode()))
    assert "\nGrößere Häfen\n" in server.requests[0]["messages"][1]["content"]


def test_token_budget_ends_the_reading_and_leaves_enough_to_join(server: StandIn) -> None:
    found = analyzed(LONG, max_tokens=9_000)
    assert not found.complete
    assert found.notes == ["The tokens ended: 2 of 4 parts were not read."]
    assert len(server.requests) == 2 + 1
    assert found.tokens <= 9_000


def test_budget_below_one_part_is_fatal(server: StandIn) -> None:
    with pytest.raises(Fatal) as raised:
        analyzed(LONG, max_tokens=1_000)
    assert (raised.value.code, server.requests) == ("TOO_FEW_TOKENS", [])


@pytest.mark.usefixtures("server")
def test_time_budget_ends_the_reading() -> None:
    @dataclass
    class Ageing(FakeContext):
        """A context whose time ends after some reports."""

        def progress(self, percent: float, message: str | None = None) -> None:
            super().progress(percent, message)
            if message == "The model reads part 2 of 4":
                self.remaining_seconds = 59

    found = analyzed(LONG, Ageing(remaining_seconds=300))
    assert found.notes == ["The time ended: 2 of 4 parts were not read."]


def test_document_that_takes_all_the_time_is_fatal(server: StandIn) -> None:
    with pytest.raises(Fatal) as raised:
        analyzed(SENTENCE, FakeContext(remaining_seconds=59))
    assert (raised.value.code, server.requests) == ("NO_TIME_FOR_THE_MODEL", [])


def test_answer_that_was_cut_is_noted(server: StandIn) -> None:
    server.turns = [IS_CUT]
    found = analyzed(SENTENCE)
    assert (found.complete, found.notes) == (False, ["The model's answer was cut at its limit of tokens."])


def test_busy_model_gets_the_request_again_after_its_retry_after(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    # Only the job's own: threads of the process sleep too.
    monkeypatch.setattr(analyze_module, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    server.turns = [busy("3"), busy("0"), ANSWERS]
    assert analyzed(SENTENCE).complete
    assert sum(slept) == 3 + 1
    assert len(server.requests) == 3


def test_model_that_is_busy_for_long_is_left_to_another_attempt(server: StandIn) -> None:
    server.turns = [busy("21")]
    with pytest.raises(Retry) as raised:
        analyzed(SENTENCE)
    assert (raised.value.code, raised.value.after) == ("MODEL_BUSY", timedelta(seconds=21))


def test_wait_for_a_busy_model_ends_when_the_job_is_cancelled(server: StandIn) -> None:
    @dataclass
    class CancelledWhileItWaits(FakeContext):
        """A context whose job is cancelled while the model is busy."""

        checks: list[None] = field(default_factory=list)

        def check(self) -> None:
            self.checks.append(None)
            if server.requests:
                raise JobCancelled

    server.turns = [busy("20")]
    with pytest.raises(JobCancelled):
        analyzed(SENTENCE, CancelledWhileItWaits(remaining_seconds=300))


@pytest.mark.parametrize(("status", "kind"), [(500, Retry), (401, Fatal), (400, Fatal)])
def test_failed_model_is_not_replaced_by_sentences(server: StandIn, status: int, kind: type[Exception]) -> None:
    server.turns = [fails(status)]
    with pytest.raises(kind):
        analyzed(SENTENCE)


# ── Without a model ────────────────────────────────────────────────────────────────────────────────────


def test_without_a_model_the_summary_is_sentences_and_says_so() -> None:
    found = analyze(AnalysisInput(key=UPLOAD), upload(pdfs.report()))
    assert (found.method, found.model, found.tokens, found.complete) == ("EXTRACTIVE", None, 0, True)
    assert found.notes == ["No model is configured: these are sentences of the document."]
    assert len(found.summary) > 100


def test_text_beyond_the_limit_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyze_module, "MAX_TEXT", 1_000)
    found = analyzed(SENTENCE * 100)
    assert (found.complete, found.notes[1:]) == (False, ["Only the first 1,000 characters were read."])


def test_pages_that_were_not_read_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_extract, "MAX_TEXT", 5_000)
    found = analyze(AnalysisInput(key=UPLOAD), upload(raw_pdf.long_report(pages=5)))
    assert not found.complete
    assert "has more than 5000 characters. Page 3 and all later ones are left out" in found.notes[1]


@pytest.mark.parametrize(
    ("data", "code"), [(b" \n ", "NO_TEXT"), (b"\xff\xfe", "NOT_A_TEXT"), (raw_pdf.with_contents(b""), "NO_TEXT")]
)
def test_upload_without_text_is_fatal(data: bytes, code: str) -> None:
    with pytest.raises(Fatal) as raised:
        analyze(AnalysisInput(key=UPLOAD), upload(data))
    assert raised.value.code == code


@pytest.mark.parametrize("given", [{}, {"text": "a", "key": "uploads/x"}, {"text": ""}, {"text": "a", "maxTokens": 5}])
def test_input_is_one_document(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AnalysisInput.model_validate(given)


# ── The key ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


@pytest.mark.usefixtures("account")
def test_key_is_read_from_secrets_manager() -> None:
    boto3.client("secretsmanager").create_secret(Name="models/key", SecretString=f"{KEY}\n")
    model = model_of({"ANALYZE_ENDPOINT": "https://api.example.com/v1", "ANALYZE_MODEL": "m", "ANALYZE_SECRET": "models/key"})
    assert model is not None
    assert model.key == KEY
    assert KEY not in repr(model)


@pytest.mark.usefixtures("account")
def test_missing_key_is_fatal() -> None:
    with pytest.raises(Fatal) as raised:
        model_of({"ANALYZE_ENDPOINT": "https://api.example.com/v1", "ANALYZE_SECRET": "models/none"})
    assert raised.value.code == "MODEL_KEY_MISSING"


def test_deployment_without_a_secret_has_no_key() -> None:
    model = model_of({"ANALYZE_ENDPOINT": "https://api.example.com/v1", "ANALYZE_MODEL": "m"})
    assert model is not None
    assert model.key is None
