"""The worker's token: for one job in one generation, and never what is kept of it."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.aws.items import to_item
from asyncjobs.tracking.worker_token import WorkerToken
from tests.support.factories import OWNER, new_tracked_job

OWNERS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="#"), min_size=1, max_size=128)


@given(OWNERS)
def test_a_token_reads_back_as_it_was(owner: str) -> None:
    token = WorkerToken.new(owner)
    assert WorkerToken.parse(token.text) == token


def test_a_token_fits_the_job_that_was_made_with_it_and_no_other() -> None:
    token = WorkerToken.new(OWNER)
    job = new_tracked_job(generation=token.generation)
    assert token.fits(job)
    assert not WorkerToken.new(OWNER).fits(job)
    assert not token.fits(replace(job, generation=WorkerToken.new(OWNER).generation))
    assert not WorkerToken("bob", token.secret).fits(job)
    assert not token.fits(replace(job, max_attempts=3))


def test_no_two_tokens_are_the_same() -> None:
    assert len({WorkerToken.new(OWNER).generation for _ in range(1000)}) == 1000


def test_what_is_stored_tells_nothing_of_the_secret() -> None:
    token = WorkerToken.new(OWNER)
    stored = str(to_item(new_tracked_job(generation=token.generation)))
    for secret in (token.secret.hex(), base64.urlsafe_b64encode(token.secret).decode()[:20], token.text):
        assert secret not in stored


def test_a_token_does_not_show_its_secret_by_accident() -> None:
    token = WorkerToken.new(OWNER)
    assert str(token.secret) not in f"{token!r}{token}"


GOOD = WorkerToken(OWNER, bytes(range(32))).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ajw_",
        GOOD.removeprefix("ajw_"),
        GOOD.upper(),
        f"{GOOD}=",
        f"{GOOD}\n",
        f" {GOOD}",
        GOOD[:-1] + "é",
        GOOD + "A" * 300,
        "ajw_" + base64.urlsafe_b64encode(bytes(33)).decode(),
        "ajw_" + base64.urlsafe_b64encode(b"a#b" + bytes(32)).decode().rstrip("="),
        "ajw_" + base64.urlsafe_b64encode(b"\xff" * 40).decode().rstrip("="),
        # The same bytes, written another way: the last character's low bits say nothing.
        GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
        "a.b.c",
    ],
)
def test_anything_else_is_no_token(text: str) -> None:
    assert WorkerToken.parse(GOOD) is not None
    assert WorkerToken.parse(text) is None


@given(st.text())
def test_no_text_is_too_odd_to_be_refused(text: str) -> None:
    assert WorkerToken.parse(text) is None
