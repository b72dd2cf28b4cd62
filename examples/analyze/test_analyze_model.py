"""The client of the model, against a server that speaks the protocol and fails in each way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from asyncjobs import Fatal, Retry
from jobs.analyze_model import Busy, Model, Reply
from tests.support.chat_model import (
    ANSWERS_NO_CHOICE,
    ANSWERS_NO_JSON,
    ANSWERS_NOTHING,
    ANSWERS_TOO_MUCH,
    DOES_NOT_COUNT,
    DROPS,
    HANGS,
    IS_CUT,
    KEY,
    MODEL,
    REDIRECTS,
    StandIn,
    Turn,
    busy,
    fails,
    stand_in,
)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture
def model(server: StandIn) -> Model:
    return Model(server.endpoint, MODEL, KEY)


def ask(model: Model) -> Reply:
    return model.complete("Summarize.", "one two three", max_tokens=100, seconds=30)


def test_request_is_one_of_the_protocol(server: StandIn, model: Model) -> None:
    assert ask(model) == Reply("It says: one two three", 25, is_cut=False)
    (request,) = server.requests
    assert request == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Summarize."}, {"role": "user", "content": "one two three"}],
        "max_tokens": 100,
        "temperature": 0,
    }


def test_request_without_a_key_has_no_authorization(model: Model) -> None:
    assert ask(replace(model, key=None)).text


def test_slash_at_the_end_of_the_endpoint_makes_no_difference(model: Model) -> None:
    assert ask(replace(model, endpoint=f"{model.endpoint}/")).text


def test_answer_that_is_cut_is_marked(server: StandIn, model: Model) -> None:
    server.turns = [IS_CUT]
    assert ask(model).is_cut


def test_tokens_that_the_model_does_not_count_are_estimated(server: StandIn, model: Model) -> None:
    server.turns = [DOES_NOT_COUNT]
    reply = ask(model)
    assert reply.tokens == len("Summarize." + "one two three" + reply.text) // 4


@pytest.mark.parametrize(
    ("turn", "seconds"),
    [
        (busy("7"), 7),
        (busy("0"), 0),
        (busy("0.5"), 0.5),
        (busy(), 5),
        (busy("soon"), 5),
        (busy("-3"), 0),
        (busy("nan"), 5),
        (busy("100000"), 3600),
        (busy("9", status=503), 9),
    ],
    ids=["seconds", "none", "a part", "missing", "no number", "negative", "nan", "days", "503"],
)
def test_busy_model_says_when_to_come_again(server: StandIn, model: Model, turn: Turn, seconds: float) -> None:
    server.turns = [turn]
    with pytest.raises(Busy) as raised:
        ask(model)
    assert raised.value.seconds == seconds


def test_busy_model_may_say_a_date(server: StandIn, model: Model) -> None:
    server.turns = [busy(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))]
    with pytest.raises(Busy) as raised:
        ask(model)
    assert 80 < raised.value.seconds <= 90


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (fails(500), "MODEL_UNAVAILABLE"),
        (fails(503), "MODEL_UNAVAILABLE"),
        (fails(408), "MODEL_UNAVAILABLE"),
        (DROPS, "MODEL_UNAVAILABLE"),
        (ANSWERS_NO_JSON, "MODEL_ANSWER_INVALID"),
        (ANSWERS_NO_CHOICE, "MODEL_ANSWER_INVALID"),
        (ANSWERS_NOTHING, "MODEL_ANSWER_INVALID"),
        (ANSWERS_TOO_MUCH, "MODEL_ANSWER_INVALID"),
    ],
    ids=["500", "503", "408", "dropped", "no JSON", "no choice", "no text", "too large"],
)
def test_failure_that_may_pass_is_retried(server: StandIn, model: Model, turn: Turn, code: str) -> None:
    server.turns = [turn]
    with pytest.raises(Retry) as raised:
        ask(model)
    assert raised.value.code == code
    assert "key" not in raised.value.message


def test_model_that_does_not_answer_is_retried(server: StandIn, model: Model) -> None:
    server.turns = [HANGS]
    with pytest.raises(Retry) as raised:
        model.complete("", "", max_tokens=1, seconds=0)  # the shortest wait is a second
    assert raised.value.code == "MODEL_UNAVAILABLE"


def test_model_that_is_not_there_is_retried() -> None:
    with stand_in() as server:
        endpoint = server.endpoint
    with pytest.raises(Retry):
        ask(Model(endpoint, MODEL))


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (fails(401), "MODEL_REFUSED_KEY"),
        (fails(403), "MODEL_REFUSED_KEY"),
        (fails(400), "MODEL_REJECTED_REQUEST"),
        (fails(404), "MODEL_REJECTED_REQUEST"),
        (REDIRECTS, "MODEL_REJECTED_REQUEST"),
    ],
    ids=["401", "403", "400", "404", "redirect"],
)
def test_failure_that_stays_is_fatal(server: StandIn, model: Model, turn: Turn, code: str) -> None:
    server.turns = [turn]
    with pytest.raises(Fatal) as raised:
        ask(model)
    assert raised.value.code == code
    assert "quote" not in raised.value.message


def test_wrong_key_is_fatal(model: Model) -> None:
    with pytest.raises(Fatal) as raised:
        ask(replace(model, key="wrong"))
    assert raised.value.code == "MODEL_REFUSED_KEY"
