"""Administrators, through the gateway: what each group may see and do, and what is recorded of it."""

from __future__ import annotations

import csv
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from asyncjobs.aws.items import to_item
from asyncjobs.core.administration import GROUPS
from asyncjobs.core.clock import utc_now
from asyncjobs.core.job import JobFailure, JobKey
from asyncjobs.core.message import JobMessage
from asyncjobs.http.admin_operation import AdminOperation
from asyncjobs.http.admin_routes import ADMIN
from local import users
from local.stack import LocalStack, Outputs
from tests.support.deployed import TLS, UNKNOWN, Api, Caller, Job, followed, wait_until
from tests.support.factories import new_job

AdminOf = Callable[[str], Caller]


@pytest.fixture(scope="module")
def admin_of(api: Api, stack: LocalStack, outputs: Outputs) -> AdminOf:
    """Return a function that signs in a user who is in the group."""
    found: dict[str, Caller] = {}

    def sign_in(group: str) -> Caller:
        if group not in found:
            name = f"in-{group}"
            users.token(outputs, stack.session, name)
            pool: Any = stack.session.client("cognito-idp", endpoint_url=stack.endpoint_url)
            pool.admin_add_user_to_group(UserPoolId=outputs.user_pool_id, Username=name, GroupName=group)
            token = users.token(outputs, stack.session, name)
            found[group] = Caller(api.client_with_token(token), users.subject(token))
        return found[group]

    return sign_in


@pytest.fixture(scope="module")
def admin(admin_of: AdminOf) -> Caller:
    return admin_of("admin")


@pytest.fixture(scope="module")
def operator(admin_of: AdminOf) -> Caller:
    return admin_of("operator")


def path_of(operation: AdminOperation, async_job_id: str = UNKNOWN) -> tuple[str, str]:
    method, path = operation.route.split()
    return method, path.replace("{asyncJobId}", async_job_id).replace("{priority}", "urgent").replace("{jobType}", "no.type")


def of(job: Job, part: str = "") -> str:
    return f"/admin/jobs/{job['asyncJobId']}{part}"


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.route)
def test_request_without_a_token_is_401(api: Api, operation: AdminOperation) -> None:
    assert api.client().request(*path_of(operation)).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.route)
def test_operation_needs_its_right(alice: Caller, admin_of: AdminOf, operation: AdminOperation) -> None:
    callers: dict[str | None, Caller] = {None: alice, **{group: admin_of(group) for group in GROUPS}}
    for group, caller in callers.items():
        answer = caller.http.request(*path_of(operation), params={"owner": alice.owner})
        is_open = operation.right is None or (group is not None and operation.right in GROUPS[group])
        assert (answer.status_code == httpx.codes.FORBIDDEN) is not is_open, (group, answer.text)
        if not is_open:
            assert (answer.json()["code"], answer.json()["right"]) == ("ADMIN_RIGHT_MISSING", operation.right)


@pytest.mark.parametrize("group", GROUPS)
def test_rights_are_those_of_the_group(admin_of: AdminOf, group: str) -> None:
    assert admin_of(group).get("/admin/rights").json() == {"groups": [group], "rights": sorted(GROUPS[group])}


@pytest.mark.parametrize("operation", [each for each in ADMIN if each.is_json], ids=lambda operation: operation.route)
def test_answer_in_another_format_is_406(admin: Caller, operation: AdminOperation) -> None:
    answer = admin.http.request(*path_of(operation), headers={"accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_ACCEPTABLE, "NOT_ACCEPTABLE")


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.route)
def test_unknown_parameter_is_400(admin: Caller, operation: AdminOperation) -> None:
    answer = admin.http.request(*path_of(operation), params={"owner": "nobody", "force": "1"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "operation", [each for each in ADMIN if "asyncJobId" in each.path_parameters], ids=lambda operation: operation.route
)
def test_unknown_job_is_404(admin: Caller, operation: AdminOperation) -> None:
    answer = admin.http.request(*path_of(operation), params={"owner": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")


@pytest.mark.parametrize("path", ["/admin/live-jobs", "/admin/jobs", "/admin/failed-jobs", "/admin/audit"])
def test_cursor_of_no_list_is_400(admin: Caller, path: str) -> None:
    needed = {"/admin/jobs": {"owner": "nobody"}, "/admin/failed-jobs": {"jobType": "a", "code": "B"}}
    params = {"cursor": "none", **needed.get(path, {})}
    answer = admin.get(path, params=params)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")


def test_live_job_of_another_is_listed_and_found_by_its_id(admin: Caller, alice: Caller, waiting: Job) -> None:
    found, cursor = list[str](), dict[str, str]()
    while True:
        page = admin.get("/admin/live-jobs", params={"status": "PENDING", "limit": "100", **cursor}).json()
        found += [job["asyncJobId"] for job in page["jobs"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert waiting["asyncJobId"] in found
    assert len(found) == len(set(found))
    job = admin.get(of(waiting)).json()
    assert (job["owner"], job["status"]) == (alice.owner, "PENDING")


def test_jobs_of_an_owner_are_listed(admin: Caller, alice: Caller, failed: Job) -> None:
    page = admin.get("/admin/jobs", params={"owner": alice.owner, "status": "FAILED", "limit": "100"}).json()
    assert failed["asyncJobId"] in [job["asyncJobId"] for job in page["jobs"]]


def test_payloads_are_for_those_who_may_read_them(operator: Caller, admin: Caller, alice: Caller, completed: Job) -> None:
    query = {"owner": alice.owner}
    hidden, shown = (caller.get(of(completed), params=query).json() for caller in (operator, admin))
    assert (hidden["payloadsHidden"], hidden["result"], hidden["metadata"]) == (True, None, None)
    assert (shown["payloadsHidden"], shown["result"], shown["metadata"]) == (False, completed["result"], {"order": 7})
    assert admin.get(of(completed, "/input"), params=query).json() == {"input": {}}
    result = admin.get(of(completed, "/result"), params=query)
    assert (result.status_code, result.json()) == (httpx.codes.OK, completed["result"])


def test_large_result_is_fetched_from_its_link(admin: Caller, alice: Caller, large: Job) -> None:
    answer = admin.get(of(large, "/result"), params={"owner": alice.owner})
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert httpx.get(answer.headers["location"], trust_env=False, verify=TLS).status_code == httpx.codes.OK


def test_input_whose_object_was_deleted_is_404(admin: Caller, alice: Caller, stack: LocalStack, outputs: Outputs) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": "x" * 5000}}).json()
    bucket = stack.session.resource("s3", endpoint_url=stack.endpoint_url).Bucket(outputs.bucket_name)
    query = {"owner": alice.owner}
    assert admin.get(of(job, "/input"), params=query).json()["input"]["subject"] == "x" * 5000
    (found,) = [each for each in bucket.objects.filter(Prefix="inputs/") if job["asyncJobId"] in each.key]
    found.delete()
    answer = admin.get(of(job, "/input"), params=query)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "INPUT_NOT_FOUND")


@pytest.mark.parametrize(
    ("state", "code"), [("waiting", "JOB_NOT_COMPLETED"), ("failed", "JOB_FAILED"), ("cancelled", "JOB_CANCELLED")]
)
def test_job_without_a_result_is_409(
    request: pytest.FixtureRequest, admin: Caller, alice: Caller, state: str, code: str
) -> None:
    answer = admin.get(of(request.getfixturevalue(state), "/result"), params={"owner": alice.owner})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, code)


def test_small_result_is_json_only(admin: Caller, alice: Caller, completed: Job) -> None:
    answer = admin.get(of(completed, "/result"), params={"owner": alice.owner}, headers={"accept": "application/pdf"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_ACCEPTABLE, "NOT_ACCEPTABLE")


def test_events_of_a_job_end_with_its_end(admin: Caller, alice: Caller, failed: Job) -> None:
    page = admin.get(of(failed, "/events"), params={"owner": alice.owner}).json()
    assert (page["events"][-1]["status"], page["more"]) == ("FAILED", False)


@pytest.mark.parametrize(
    ("state", "method", "part", "code"),
    [
        ("failed", "POST", "/cancel", "JOB_ALREADY_FINISHED"),
        ("waiting", "POST", "/retry", "JOB_NOT_RETRYABLE"),
        ("waiting", "DELETE", "", "JOB_NOT_FINISHED"),
    ],
)
def test_action_that_the_state_does_not_allow_is_409(
    request: pytest.FixtureRequest, operator: Caller, alice: Caller, state: str, method: str, part: str, code: str
) -> None:
    answer = operator.http.request(method, of(request.getfixturevalue(state), part), params={"owner": alice.owner})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, code)


def test_operator_cancels_retries_and_deletes_and_each_is_recorded(
    operator: Caller, admin: Caller, alice: Caller, later: Callable[..., Job]
) -> None:
    job, query = later(), {"owner": alice.owner}
    assert operator.post(of(job, "/cancel"), params=query).json()["status"] == "CANCELLED"
    assert alice.job(job)["status"] == "CANCELLED"
    retried = operator.post(of(job, "/retry"), params=query)
    assert (retried.status_code, retried.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    assert alice.wait_for(job)["status"] == "COMPLETED"
    assert operator.delete(of(job), params=query).status_code == httpx.codes.NO_CONTENT
    assert alice.get(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NOT_FOUND
    records = admin.get("/admin/audit").json()["records"]
    about = [each for each in records if each["asyncJobId"] == job["asyncJobId"]]
    assert [each["action"] for each in about] == ["job.delete", "job.retry", "job.cancel"]
    assert {(each["actor"], each["owner"], each["jobType"]) for each in about} == {
        (operator.owner, alice.owner, "sample.returns")
    }


def test_audit_log_is_exported_as_a_table(admin: Caller, alice: Caller, completed: Job) -> None:
    admin.get(of(completed, "/input"), params={"owner": alice.owner})
    answer = admin.get("/admin/audit", params={"limit": "1"}, headers={"accept": "text/csv"})
    (row,) = csv.DictReader(answer.text.splitlines())
    assert (answer.headers["content-type"], row["actor"]) == ("text/csv", admin.owner)
    assert answer.headers["next-cursor"]


def test_failed_job_is_found_by_its_group(admin: Caller, failed: Job) -> None:
    groups = admin.get("/admin/failed-groups", params={"jobType": failed["jobType"]}).json()["groups"]
    (group,) = [each for each in groups if each["code"] == failed["error"]["code"]]
    assert group["count"] >= 1
    query, found = {"jobType": failed["jobType"], "code": group["code"], "limit": "100"}, list[str]()
    while True:
        page = admin.get("/admin/failed-jobs", params=query).json()
        found += [job["asyncJobId"] for job in page["jobs"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert failed["asyncJobId"] in found


def test_queues_and_types_are_listed(admin: Caller) -> None:
    queues = admin.get("/admin/queues").json()
    assert [each["queue"] for each in queues["queues"]] == ["high", "standard", "low", "deliveries"]
    assert "sample.returns" in [each["jobType"] for each in admin.get("/admin/types").json()["types"]]


# ── Actions on many jobs ─────────────────────────────────────────────────────────────────────────────


def test_many_jobs_are_cancelled_retried_and_deleted_with_the_outcome_of_each(
    operator: Caller, alice: Caller, later: Callable[..., Job], waiting: Job
) -> None:
    jobs = [{"asyncJobId": later()["asyncJobId"], "owner": alice.owner} for _ in range(3)]
    unknown = {"asyncJobId": UNKNOWN, "owner": alice.owner}

    def act(action: str, *more: dict[str, str], **options: bool) -> list[str]:
        answer = operator.post("/admin/bulk-actions", json={"action": action, "jobs": [*jobs, *more], **options})
        assert answer.status_code == httpx.codes.OK, answer.text
        return [each["outcome"] for each in answer.json()["outcomes"]]

    assert act("cancel", trial=True) == ["ELIGIBLE"] * 3
    assert alice.job(jobs[0])["status"] == "PENDING"
    assert act("cancel", unknown) == [*["DONE"] * 3, "JOB_NOT_FOUND"]
    assert act("retry", {"asyncJobId": waiting["asyncJobId"], "owner": alice.owner}) == [*["DONE"] * 3, "JOB_NOT_RETRYABLE"]
    for job in jobs:
        assert alice.wait_for(job)["status"] == "COMPLETED"
    assert act("delete") == ["DONE"] * 3
    assert act("delete") == ["JOB_NOT_FOUND"] * 3


def test_action_in_the_background_is_a_job_of_the_operator_which_has_the_outcome_of_each(
    operator: Caller, alice: Caller, admin: Caller, admin_of: AdminOf, later: Callable[..., Job]
) -> None:
    jobs = [{"asyncJobId": later()["asyncJobId"], "owner": alice.owner} for _ in range(3)]
    unknown = {"asyncJobId": UNKNOWN, "owner": alice.owner}
    body = {"action": "cancel", "jobs": [*jobs, unknown], "expectedCount": 4}
    background = {"prefer": "respond-async"}
    refused = admin_of("viewer").post("/admin/bulk-actions", json=body, headers=background)
    assert (refused.status_code, alice.job(jobs[0])["status"]) == (httpx.codes.FORBIDDEN, "PENDING")

    answer = operator.post("/admin/bulk-actions", json=body, headers=background)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    action = operator.get(followed(answer)).json()
    assert action["asyncJobId"] == answer.json()["asyncJobId"]
    assert operator.wait_for(action)["result"] == {"action": "cancel", "outcomes": {"DONE": 3, "JOB_NOT_FOUND": 1}}
    assert [alice.job(job)["status"] for job in jobs] == ["CANCELLED"] * 3

    path = f"/admin/bulk-actions/{action['asyncJobId']}"
    # Of another operator, too, but of nobody without the right.
    found = admin.get(path).json()
    assert found["outcomes"] == [*({**job, "outcome": "DONE"} for job in jobs), {**unknown, "outcome": "JOB_NOT_FOUND"}]
    assert (found["counts"], found["nextCursor"]) == ({"DONE": 3, "JOB_NOT_FOUND": 1}, None)
    assert [caller.get(path).status_code for caller in (alice, admin_of("viewer"))] == [httpx.codes.FORBIDDEN] * 2
    assert alice.get(f"/jobs/{action['asyncJobId']}").status_code == httpx.codes.NOT_FOUND
    assert operator.get(path, params={"cursor": "none"}).json()["code"] == "INVALID_CURSOR"
    records = operator.get("/admin/audit", params={"limit": "100"}).json()["records"]
    own = [each for each in records if each["asyncJobId"] == action["asyncJobId"]]
    assert [(each["action"], each["outcomes"]) for each in own] == [
        ("bulk.cancel.end", {"DONE": 3, "JOB_NOT_FOUND": 1}),
        ("bulk.cancel", None),
    ]


def test_action_in_the_background_goes_on_beyond_the_loop_that_lambda_would_stop(
    operator: Caller, alice: Caller, stack: LocalStack, outputs: Outputs
) -> None:
    # Lambda would stop a function that invokes itself after 16 times. Here each invocation has time for one job.
    code, now = f"BULK_{uuid.uuid4().hex[:8].upper()}", utc_now()
    error = JobFailure(code=code, message="x", type="Fatal", retryable=False)
    dynamodb: Any = stack.session.client("dynamodb", endpoint_url=stack.endpoint_url)
    for _ in range(20):
        job = new_job(owner=alice.owner, async_job_id=str(uuid.uuid4()), now=now).failed(now=now, error=error)
        dynamodb.put_item(TableName=outputs.table_name, Item=to_item(job))
    functions: Any = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    cloudformation: Any = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    resource = cloudformation.describe_stack_resource(StackName=outputs.stack_name, LogicalResourceId="AdminFunction")
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    selected = {"jobType": "sample.returns", "code": code}
    wait_until(lambda: len(operator.get("/admin/failed-jobs", params={**selected, "limit": "100"}).json()["jobs"]) == 20)
    timeout = functions.get_function_configuration(FunctionName=name)["Timeout"]
    functions.update_function_configuration(FunctionName=name, Timeout=10)
    try:
        body = {"action": "delete", "failed": selected}
        answer = operator.post("/admin/bulk-actions", json=body, headers={"prefer": "respond-async"})
        action = operator.wait_for(answer.json())
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=timeout)
    assert action["result"]["outcomes"] == {"DONE": 20}


def test_action_on_a_list_has_a_cursor_of_its_own(operator: Caller) -> None:
    body = {"action": "retry", "failed": {"jobType": "a", "code": "B"}}
    assert operator.post("/admin/bulk-actions", json=body).json() == {"outcomes": [], "nextCursor": None}
    answer = operator.post("/admin/bulk-actions", json={**body, "cursor": "none"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")


@pytest.mark.parametrize("operation", [each for each in ADMIN if each.body], ids=lambda operation: operation.route)
@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"{", {"content-type": "application/json"}, "INVALID_JSON"),
        (b"{}", {"content-type": "text/plain"}, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"content-type": "application/json", "content-encoding": "br"}, "UNSUPPORTED_CONTENT_ENCODING"),
        (b'"' + b"x" * 300_000 + b'"', {"content-type": "application/json"}, "REQUEST_TOO_LARGE"),
    ],
)
def test_invalid_body_is_refused(
    operator: Caller, operation: AdminOperation, content: bytes, headers: dict[str, str], code: str
) -> None:
    assert operator.http.request(*path_of(operation), content=content, headers=headers).json()["code"] == code


# ── Pause and resume ─────────────────────────────────────────────────────────────────────────────────


def test_paused_priority_begins_no_job_until_it_is_resumed(operator: Caller, alice: Caller) -> None:
    def switch(verb: str, *, is_paused: bool) -> None:
        answer = operator.post(f"/admin/queues/low/{verb}")
        assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"queue": "low", "isPaused": is_paused})
        wait_until(lambda: paused() == ({"low"} if is_paused else set()))

    def paused() -> set[str]:
        return {each["queue"] for each in operator.get("/admin/queues").json()["queues"] if each["isPaused"]}

    switch("pause", is_paused=True)
    try:
        time.sleep(2)  # a poll that has begun may take one more message
        job = alice.submit("sample.returns", priority="low")
        other = alice.submit("sample.returns", priority="high")
        assert alice.wait_for(other)["status"] == "COMPLETED"
        assert alice.job(job)["status"] == "PENDING"
    finally:
        switch("resume", is_paused=False)
    assert alice.wait_for(job)["status"] == "COMPLETED"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_unknown_priority_is_404(operator: Caller, verb: str) -> None:
    answer = operator.post(f"/admin/queues/deliveries/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "QUEUE_NOT_FOUND")


def test_paused_type_begins_no_job_until_it_is_resumed(operator: Caller, alice: Caller) -> None:
    def switch(verb: str, *, is_paused: bool) -> None:
        answer = operator.post(f"/admin/types/sample.returns/{verb}")
        assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"jobType": "sample.returns", "isPaused": is_paused})
        queues = operator.get("/admin/queues").json()["queues"]
        assert [each["pausedTypes"] for each in queues] == [*[["sample.returns"] if is_paused else []] * 3, []]

    def messages() -> int:
        (low,) = [each for each in operator.get("/admin/queues").json()["queues"] if each["queue"] == "low"]
        return int(low["waiting"] + low["inFlight"])

    switch("pause", is_paused=True)
    try:
        time.sleep(2)  # a poll that has begun may take one more message
        job = alice.submit("sample.returns", priority="low")
        other = alice.submit("sample.gives_up", priority="low")
        alice.wait_for(other)
        wait_until(lambda: messages() == 0)  # its message is dropped, not late
        assert alice.job(job)["status"] == "PENDING"
    finally:
        switch("resume", is_paused=False)
    # The sweeper sends another message.
    assert alice.wait_for(job, seconds=150)["status"] == "COMPLETED"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_type_that_takes_no_messages_is_404(operator: Caller, verb: str) -> None:
    answer = operator.post(f"/admin/types/webhook.deliver/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "JOB_TYPE_NOT_FOUND")


def test_tracked_type_is_not_paused(operator: Caller) -> None:
    answer = operator.post("/admin/types/generic/pause")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "JOB_TYPE_NOT_FOUND")


# ── Dead letters ─────────────────────────────────────────────────────────────────────────────────────


def test_dead_letters_are_redriven_by_the_records_of_their_jobs(
    operator: Caller, alice: Caller, completed: Job, stack: LocalStack, outputs: Outputs
) -> None:
    sqs = stack.session.client("sqs", endpoint_url=stack.endpoint_url)
    for body in (JobMessage(JobKey(alice.owner, completed["asyncJobId"]), "g", "sample.returns").to_body(), "no message"):
        sqs.send_message(QueueUrl=outputs.dead_letter_queue_url, MessageBody=body)

    def redrive(**options: bool) -> list[str]:
        answer = operator.post("/admin/dead-letters/redrive", json=options)
        assert answer.status_code == httpx.codes.OK, answer.text
        return [each["outcome"] for each in answer.json()["letters"]]

    assert sorted(redrive()) == ["MALFORMED", "SETTLED"]
    wait_until(lambda: redrive(discardMalformed=True) == ["DISCARDED"])  # hidden for 30 s
    assert operator.get("/admin/queues").json()["deadLetters"]["waiting"] == 0
