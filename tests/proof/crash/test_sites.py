"""Every AWS call of the library has a row in the matrix, and every row a call."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from asyncjobs.aws import clients
from asyncjobs.service.sender import Sender
from asyncjobs.worker.sqs_batch import BatchWorker
from tests.proof.crash import matrix, sites, tree
from tests.proof.crash.faults import SDK_TRIES, Fault
from tests.proof.crash.rows import ROWS

NO_REQUEST = {
    "link < Queries.link": "signing sends nothing",
    "link < Contents.result": "signing sends nothing",
    **dict.fromkeys(
        (f"artifact_link < {use}" for use in ("Queries.job", "Queries.jobs", "Commands.with_links")),
        "signing sends nothing",
    ),
    "upload_link < Commands.upload": "signing sends nothing",
    "open_result < Attempt._succeeded": "a writer; its calls have their own rows",
    "open_artifact < Attempt.open_artifact": "a writer; its calls have their own rows",
    "open_result < Attempt.stream_result": "a writer; its calls have their own rows",
}

NOT_DEPLOYED = {
    "add_if_absent < WebhookCommands.test": "its call is the same as in `SubmitPipeline._put`, and its answer is not a promise",
    "add_if_absent < TrackedJobs.create_job": "runs in a function of the user; its call is the same as in `Commands.submit`",
    "get_input < Queries.input_of": "only reads; its call is the same as in `Attempt._input`",
    "list_by_owner < Admission._is_full_for": "only while a queue is full; its calls are the same as in `Queries.jobs`",
    # Only in a dialect, whose requests otherwise make the calls of the submit and the status function.
    "get_result < Contents.result": "only reads",
    "put_upload < Contents.store_upload": "comes before the submit, and the bucket deletes an upload of no job",
    # Only with permissions that the template does not give by default.
    **dict.fromkeys(("uploads < Attempt.uploads", "open_file < Attempt.open_file"), "only reads"),
    "delete_upload < Attempt.delete_upload": "its call is the same as in `Commands.delete_upload`, and a later attempt repeats it",
    "save_file < Attempt.save_file": "one call that replaces the file whole, which a later attempt repeats",
    # An administrator's commands make the same calls as an owner's.
    "get < Administration._job": "only reads",
    **dict.fromkeys((f"get_all < Administration.{name}" for name in ("live", "failed", "queues")), "only reads"),
    **dict.fromkeys((f"get_all < BulkActions.{name}" for name in ("act_on", "_next")), "only reads"),
    **dict.fromkeys((f"get < BulkActions.{name}" for name in ("_is_over", "_has_happened")), "only reads"),
    "add_if_absent < BulkActions.start": "its call is the same as in `SubmitPipeline._put`; the operator's answer is 503, or the job",
    "get_all < DeadLetterRedrive.redrive": "only reads",
    "send_all < DeadLetterRedrive.redrive": "comes before the deletion of the letters; the sweeper sends the jobs in any case",
}
NOT_DEPLOYED_SITES = {
    "s3.S3Objects.get_result:GetObject",
    "s3.S3Objects.put_upload:PutObject",
    "s3.S3Objects.uploads:ListObjectsV2",
    "s3.S3Objects.save_file:PutObject",
}
"""The calls of these uses that no other use makes."""


def test_every_call_site_of_the_library_has_a_row() -> None:
    assert {row.site for row in ROWS} == sites.call_sites() - NOT_DEPLOYED_SITES


def test_every_module_with_requests_is_in_the_matrix_or_excluded() -> None:
    assert sites.modules_with_calls() == {*sites.ADAPTERS, *sites.APART}


def test_every_use_of_an_adapter_has_a_row_or_sends_no_request() -> None:
    in_rows = {row.purpose.partition(" > ")[0] for row in ROWS}
    assert sites.uses() - in_rows == NO_REQUEST.keys() | NOT_DEPLOYED.keys()


def test_each_function_of_the_copy_imports_the_crash_points_first(tmp_path: Path) -> None:
    copy = tmp_path / "tree"
    tree.copy(copy, jobs={})
    tree.add_crashpoints(copy)
    functions = list(copy.glob("functions/*/app.py"))
    assert functions
    for function in functions:
        compile(function.read_text(), str(function), "exec")
        module = ast.parse(function.read_text())
        imports = [ast.unparse(node) for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert next(name for name in imports if "__future__" not in name) == "import crashpoints"


def test_share_has_every_row_and_every_fault() -> None:
    assert {row for row, _ in matrix.SHARE} == set(ROWS)
    assert {fault for _, fault in matrix.SHARE} == set(Fault)


def test_each_row_has_its_own_call() -> None:
    assert [call for call, times in Counter((row.site, row.purpose) for row in ROWS).items() if times > 1] == []


def test_sdk_tries_every_call_equally_often_and_less_than_five_times() -> None:
    assert vars(clients._BULKY)["retries"]["total_max_attempts"] == SDK_TRIES < 5


def test_variables_that_name_the_job_of_a_call_exist() -> None:
    """A fault about a job never fires if the crash points look for a variable that was renamed."""
    assert "received" in BatchWorker._return.__code__.co_varnames
    assert "job" in Sender.send.__code__.co_varnames
