"""Job types of the library itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncjobs.core.errors import UnknownJobType
from asyncjobs.core.job import DELIVERY, MAX_ATTEMPTS_LIMIT, is_short
from asyncjobs.jobtypes.built_in import BUILT_IN, DELIVERY_TYPE
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.push.delivery import Deliverer
from asyncjobs.push.outbound import TIME_LIMIT
from tests.support.factories import NOW, job_type
from tests.support.fakes import FakeClock, FakeWebhooks


def test_built_in_type_is_found_for_a_stored_job_only() -> None:
    catalog = Catalog({"a.b": job_type("a.b")})
    assert catalog.of_stored(DELIVERY) is DELIVERY_TYPE
    assert catalog.of_stored("a.b") == job_type("a.b")
    assert [each.name for each in catalog] == ["a.b"]
    with pytest.raises(UnknownJobType):
        catalog[DELIVERY]


def test_each_built_in_type_has_its_own_name() -> None:
    assert {name: each.name for name, each in BUILT_IN.items()} == {name: name for name in BUILT_IN}


def test_try_of_a_delivery_has_time_for_its_request_on_one_lease() -> None:
    assert DELIVERY_TYPE.timeout.total_seconds() >= TIME_LIMIT + 10
    assert is_short(DELIVERY_TYPE.timeout)
    assert DELIVERY_TYPE.max_attempts <= MAX_ATTEMPTS_LIMIT


def test_code_of_the_type_reads_its_input() -> None:
    definition = Deliverer(FakeWebhooks(), lambda *_: pytest.fail("It sends."), FakeClock(NOW)).definition
    assert definition.read_input('{"owner": "alice"}') == {"owner": "alice"}
    assert definition.job_type == replace(DELIVERY_TYPE)
