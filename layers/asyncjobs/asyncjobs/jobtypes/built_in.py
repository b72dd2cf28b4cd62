"""Job types of the library itself. No client can submit them, and no list of job types has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from asyncjobs.core.job import BULK_ACTION, DELIVERY
from asyncjobs.jobtypes.decorator import DEFAULT_RETENTION, JobType, type_without_options

DELIVERY_TYPE = type_without_options(
    name=DELIVERY,
    module="asyncjobs.push.delivery",
    function="Deliverer.deliver",
    description="Delivers an event of a job to a webhook.",
    expected=timedelta(seconds=1),
    # Above the time limit of a request and of resolving its name: an attempt that ends by time has another backoff.
    timeout=timedelta(seconds=30),
    max_attempts=10,
    retention=DEFAULT_RETENTION,
    # The ten tries take three days. A receiver that sends Retry-After may stretch them by a day.
    deadline=timedelta(days=4),
)

BULK_ACTION_TYPE = type_without_options(
    name=BULK_ACTION,
    module="",
    function="",
    description="Retries, cancels or deletes many jobs for an administrator.",
    expected=timedelta(minutes=1),
    # Time for about 200,000 jobs. An action that has stopped for good ends no earlier, so it is not longer.
    timeout=timedelta(hours=2),
    max_attempts=0,
    retention=DEFAULT_RETENTION,
    deadline=timedelta(hours=2),
    tracked=True,
)

BUILT_IN: Mapping[str, JobType] = {DELIVERY: DELIVERY_TYPE, BULK_ACTION: BULK_ACTION_TYPE}
