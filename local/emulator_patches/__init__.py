"""Patches for the places where the pinned emulator differs from AWS: one module per service, one function per gap.

Each gap has a test that fails as soon as the emulator has no such gap: then delete the function and the test. `costs` has patches
that change no answer and only save time.
"""

from collections.abc import Callable
from pathlib import Path

from local.emulator_patches import (
    costs,
    dynamodb,
    ending,
    functions,
    guard,
    http_api,
    iam,
    mappings,
    metrics,
    s3,
    sam,
    websockets,
)

GAPS: tuple[Callable[[], None], ...] = (
    guard.refuse_strangers,
    http_api.import_openapi_bodies,
    http_api.understand_cors_properties,
    http_api.keep_errors_inside,
    http_api.encode_compressed_bodies,
    dynamodb.obey_time_to_live,
    dynamodb.stream_expiries,
    dynamodb.keep_streams,
    ending.leave_open_connections,
    ending.end_with_the_saved_state,
    functions.answer_when_the_function_has,
    functions.replace_empty_endpoint,
    functions.unpack_once,
    functions.obey_recursive_loop,
    iam.count_loopback_as_secure,
    iam.allow_batches_of_messages,
    iam.name_calls_on_one_mapping,
    iam.know_leading_keys,
    iam.derive_role_credentials_from_secret,
    mappings.read_numbers,
    mappings.deliver_failed_changes_again,
    mappings.read_streams_apart,
    metrics.read_embedded_metrics,
    s3.obey_lifecycles,
    s3.refuse_tags_of_deleted_objects,
    sam.transform_with_parameters,
    websockets.create_route_responses,
    websockets.reach_by_path,
    costs.compile_routes_once,
    costs.verify_tokens_once,
    costs.read_conditions_once,
    costs.name_callers_by_their_credential,
)


def close_all(lambda_python: Path) -> None:
    """Apply all patches, and run the functions on this interpreter. Call it before the emulator starts."""
    functions.run_on(lambda_python)
    for close in GAPS:
        close()
