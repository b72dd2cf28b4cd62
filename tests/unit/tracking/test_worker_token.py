"""The worker's token: valid for one generation of one job, and never stored."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.aws.items import to_item
from asyncjobs.tracking.worker_token import WorkerToken
from tests.support.factories import OWNER, new_tracked_job
from tests.support.owners import ALL, OWNERS


@given(OWNERS | st.sampled_from(ALL))
def test_token_round_trips_through_its_text(owner: str) -> None:
    token = WorkerToken.new(owner)
    assert WorkerToken.parse(token.text) == token


def test_token_matches_only_its_own_job() -> None:
    token = WorkerToken.new(OWNER)
    job = new_tracked_job(token_hash=token.hash)
    assert token.matches(job)
    assert not WorkerToken.new(OWNER).matches(job)
    assert not token.matches(replace(job, token_hash=WorkerToken.new(OWNER).hash))
    assert not WorkerToken("bob", token.secret).matches(job)
    assert not token.matches(replace(job, max_attempts=3))


def test_token_of_an_earlier_release_matches_the_generation_until_another_is_issued() -> None:
    token = WorkerToken.new(OWNER)
    # Earlier releases derived a tracked job's generation from the token, and stored no hash.
    job = new_tracked_job(generation=hashlib.sha256(token.secret).hexdigest()[:32])
    assert token.matches(job)
    assert not WorkerToken.new(OWNER).matches(job)
    assert not token.matches(job.reissued(token_hash=WorkerToken.new(OWNER).hash))


def test_each_token_is_different() -> None:
    assert len({WorkerToken.new(OWNER).hash for _ in range(1000)}) == 1000


def test_record_does_not_hold_the_secret() -> None:
    token = WorkerToken.new(OWNER)
    stored = str(to_item(new_tracked_job(token_hash=token.hash)))
    for secret in (token.secret.hex(), base64.urlsafe_b64encode(token.secret).decode()[:20], token.text):
        assert secret not in stored


def test_repr_of_a_token_hides_the_secret() -> None:
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
        GOOD + "A" * 400,
        "ajw_" + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("="),
        "ajw_" + base64.urlsafe_b64encode(b"x" * 256 + bytes(32)).decode().rstrip("="),
        "ajw_" + base64.urlsafe_b64encode("ü".encode() + bytes(32)).decode().rstrip("="),
        "ajw_" + base64.urlsafe_b64encode(b"\xff" * 40).decode().rstrip("="),
        # Another text for the same bytes: the low bits of the last character are unused.
        GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
        "a.b.c",
    ],
)
def test_malformed_token_is_rejected(text: str) -> None:
    assert WorkerToken.parse(GOOD) is not None
    assert WorkerToken.parse(text) is None


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    assert WorkerToken.parse(text) is None
