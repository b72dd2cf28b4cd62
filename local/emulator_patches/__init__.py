"""Where the pinned emulator differs from AWS and it matters here: one module a service, one function a gap.

Each gap has a test that fails as soon as the emulator closes it by itself: then delete the function and the test.
"""

from collections.abc import Callable

from local.emulator_patches import dynamodb, functions, http_api, iam, mappings, metrics, s3

GAPS: tuple[Callable[[], None], ...] = (
    http_api.import_openapi_bodies,
    http_api.understand_cors_properties,
    http_api.keep_errors_inside,
    dynamodb.obey_time_to_live,
    dynamodb.stream_expiries,
    functions.answer_when_the_function_has,
    iam.count_loopback_as_secure,
    iam.ask_for_one_message_as_for_ten,
    mappings.read_numbers,
    metrics.read_embedded_metrics,
    s3.obey_lifecycles,
)


def close_all() -> None:
    """Before the emulator starts."""
    for close in GAPS:
        close()
