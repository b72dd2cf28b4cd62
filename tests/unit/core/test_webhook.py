"""The webhooks of an owner: what each takes, its secrets, and how it fails."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.job import UUID
from asyncjobs.core.webhook import (
    DISABLED_AFTER,
    ENDS,
    EVENTS,
    SECRET_OVERLAP,
    DisabledReason,
    OwnerWebhooks,
    delivery_id,
    new_secret,
)
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_job, new_webhook

OTHER_ID = "11111111-1111-4111-8111-111111111111"


@pytest.mark.parametrize("event", EVENTS)
def test_webhook_takes_the_ends_of_all_jobs_by_default(event: str) -> None:
    assert new_webhook().takes(event, new_job()) is (event in ENDS)


def test_webhook_with_job_types_takes_only_these() -> None:
    webhook = new_webhook(job_types=("sample.returns",))
    assert webhook.takes("job.failed", new_job())
    assert not webhook.takes("job.failed", new_job(job_type="sample.other"))


def test_named_webhook_takes_only_jobs_that_name_it() -> None:
    webhook = new_webhook(named_only=True)
    assert not webhook.takes("job.failed", new_job())
    assert not webhook.takes("job.failed", new_job(webhook=OTHER_ID))
    assert webhook.takes("job.failed", new_job(webhook=WEBHOOK_ID))


def test_job_that_names_a_webhook_is_taken_whatever_its_type() -> None:
    webhook = new_webhook(job_types=("sample.other",))
    assert webhook.takes("job.failed", new_job(webhook=WEBHOOK_ID))
    assert not webhook.takes("job.created", new_job(webhook=WEBHOOK_ID))


def test_disabled_webhook_takes_nothing() -> None:
    assert not new_webhook().refused(now=NOW).takes("job.failed", new_job(webhook=WEBHOOK_ID))


def test_both_secrets_sign_for_a_day_after_a_rotation() -> None:
    webhook = new_webhook(secret="whsec_old").rotated(secret="whsec_new", now=NOW)
    assert webhook.secrets(NOW) == ("whsec_new", "whsec_old")
    assert webhook.secrets(NOW + SECRET_OVERLAP - timedelta(milliseconds=1)) == ("whsec_new", "whsec_old")
    assert webhook.secrets(NOW + SECRET_OVERLAP) == ("whsec_new",)


def test_second_rotation_ends_the_first_secret() -> None:
    webhook = new_webhook(secret="whsec_1").rotated(secret="whsec_2", now=NOW).rotated(secret="whsec_3", now=NOW)
    assert webhook.secrets(NOW) == ("whsec_3", "whsec_2")


def test_secrets_are_random_and_of_32_bytes() -> None:
    assert new_secret() != new_secret()
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


def test_secrets_are_in_no_text_of_the_webhook() -> None:
    webhook = new_webhook(secret="whsec_old").rotated(secret="whsec_new", now=NOW)
    assert "whsec_" not in f"{webhook!r} {OwnerWebhooks(OWNER, (webhook,))}"


def test_webhook_that_fails_for_days_is_disabled() -> None:
    webhook = new_webhook().failed(now=NOW)
    assert (webhook.failing_since, webhook.disabled_at) == (NOW, None)
    webhook = webhook.failed(now=NOW + DISABLED_AFTER - timedelta(seconds=1))
    assert (webhook.failing_since, webhook.disabled_at) == (NOW, None)
    webhook = webhook.failed(now=NOW + DISABLED_AFTER)
    assert (webhook.disabled_at, webhook.disabled_reason) == (NOW + DISABLED_AFTER, DisabledReason.FAILING)


def test_success_in_between_begins_the_days_again() -> None:
    webhook = new_webhook().failed(now=NOW).answered().failed(now=NOW + DISABLED_AFTER)
    assert (webhook.failing_since, webhook.disabled_at) == (NOW + DISABLED_AFTER, None)


def test_answer_410_disables_the_webhook_immediately_and_once() -> None:
    webhook = new_webhook().refused(now=NOW)
    assert (webhook.disabled_at, webhook.disabled_reason) == (NOW, DisabledReason.REFUSED)
    assert webhook.refused(now=NOW + timedelta(days=1)) == webhook.failed(now=NOW + timedelta(days=9)) == webhook


def test_success_enables_a_disabled_webhook() -> None:
    assert new_webhook().refused(now=NOW).answered() == new_webhook()


def test_each_change_of_an_owners_webhooks_raises_the_revision() -> None:
    first, second = new_webhook(), new_webhook(webhook_id=OTHER_ID)
    own = OwnerWebhooks(OWNER).with_webhook(first).with_webhook(second)
    assert (own.webhooks, own.revision) == ((first, second), 2)
    changed = own.with_webhook(first.failed(now=NOW))
    assert (changed.webhooks, changed.revision) == ((first.failed(now=NOW), second), 3)
    assert (own.without(WEBHOOK_ID).webhooks, own.without(WEBHOOK_ID).revision) == ((second,), 3)
    assert own.get(OTHER_ID) == second
    assert own.get(JOB_ID) is None


def test_delivery_id_looks_like_a_jobs_id_and_follows_from_each_part_of_the_event() -> None:
    names: dict[str, Any] = {"async_job_id": JOB_ID, "generation": "g1", "seq": 3}
    found = delivery_id(WEBHOOK_ID, **names)
    assert re.fullmatch(UUID, found)
    assert found == delivery_id(WEBHOOK_ID, **names)
    others: list[dict[str, Any]] = [{"async_job_id": OTHER_ID}, {"generation": "g2"}, {"seq": 4}]
    different = {delivery_id(WEBHOOK_ID, **{**names, **other}) for other in others} | {delivery_id(OTHER_ID, **names)}
    assert len(different | {found}) == 5
