"""Two users of one service: neither can observe the other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.core.job import UUID, AsyncJob, JobKey, job_id_for
from asyncjobs.http.admin_operation import AdminOperation
from asyncjobs.http.admin_routes import AdminRoutes
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from asyncjobs.http.render import job_body
from tests.deployed.security.world import World
from tests.support.deployed import UNKNOWN
from tests.support.http_events import (
    CANCEL,
    CREATE_WEBHOOK,
    DELETE,
    DELETE_WEBHOOK,
    EVENTS,
    INPUT,
    JOB,
    JOBS,
    REPORT,
    RESULT,
    RETRY,
    ROTATE_WEBHOOK,
    TEST_WEBHOOK,
    TICKET,
    TICKET_EVENTS,
    TICKET_JOB,
    TICKET_JOBS,
    TICKET_RESULT,
    UPDATE,
    WEBHOOKS,
    WORKER_TOKEN,
    Answer,
)

ROUTES = {
    "read": JOB,
    "fetch": RESULT,
    "read the input": INPUT,
    "read events": EVENTS,
    "cancel": CANCEL,
    "retry": RETRY,
    "delete": DELETE,
    "report as owner": UPDATE,
    "new worker token": WORKER_TOKEN,
    "report as worker": REPORT,
    "read with a ticket": TICKET_JOB,
    "list with a ticket": TICKET_JOBS,
    "fetch with a ticket": TICKET_RESULT,
    "follow with a ticket": TICKET_EVENTS,
}
PROGRESS = json.dumps({"progress": 50, "message": "Half of it"})
BODIES: dict[str, dict[str, Any]] = {
    "inline": {"jobType": "sample.returns_much", "input": {"size": 3}},
    "in the bucket": {"jobType": "sample.returns_much", "input": {"size": 9000}},
    "fails": {"jobType": "sample.gives_up", "input": {}},
    "tries again": {"jobType": "sample.succeeds_at_last", "input": {}},
    "tracked": {"message": "Upload queued"},
    "invalid": {"jobType": "sample.gives_up", "input": {"x": 1}},
}
ABOUT_WEBHOOKS = {
    "create webhook": CREATE_WEBHOOK,
    "list webhooks": WEBHOOKS,
    "rotate webhook": ROTATE_WEBHOOK,
    "delete webhook": DELETE_WEBHOOK,
    "test webhook": TEST_WEBHOOK,
}
IN_DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "entity": ("/api/v1/jobs", {"metadata": {"a": 1}}),
    "polling": ("/api/v1/jobs", {"task_type": "sample.returns_much", "input_data": {"size": 9000}}),
    "tracking": ("/api/jobs", {"message": "Upload queued"}),
}
"""A submit in each dialect that has a route for any job type."""
ONE_IN_DIALECTS = [
    *((name, "GET", dialect.job_route.theirs.partition(" ")[2]) for name, dialect in find_dialects(sorted(BUILT_IN)).items()),
    ("daemon", "GET", "/api/v1/jobs/{asyncJobId}/result"),
    ("entity", "GET", "/api/v1/jobs/{asyncJobId}/result"),
    ("tracking", "PATCH", "/api/jobs/{asyncJobId}"),
]
"""Requests about one job."""
ACROSS_OWNERS = {
    "GET /admin/live-jobs",
    "GET /admin/jobs",
    "GET /admin/jobs/{asyncJobId}",
    "GET /admin/jobs/{asyncJobId}/events",
    "GET /admin/jobs/{asyncJobId}/input",
    "GET /admin/jobs/{asyncJobId}/result",
    "POST /admin/jobs/{asyncJobId}/cancel",
    "POST /admin/jobs/{asyncJobId}/retry",
    "DELETE /admin/jobs/{asyncJobId}",
    "GET /admin/failed-groups",
    "GET /admin/failed-jobs",
    "GET /admin/queues",
    "GET /admin/types",
    "POST /admin/bulk-actions",
    "GET /admin/bulk-actions/{asyncJobId}",
    "POST /admin/queues/{priority}/pause",
    "POST /admin/queues/{priority}/resume",
    "POST /admin/types/{jobType}/pause",
    "POST /admin/types/{jobType}/resume",
    "POST /admin/dead-letters/redrive",
    "GET /admin/audit",
}
"""All operations by which somebody may see or change what is not theirs."""
RIGHTS_OPERATION = AdminRoutes.get_admin_rights
OWNERS = st.text("ab|/. #\0", min_size=1, max_size=3)
KEYS = st.sampled_from(["k", "kk", "a"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.booleans(), KEYS, st.sampled_from(sorted(BODIES))),
        # A job of the same owner or of the other one, with the id of that owner's key.
        st.tuples(st.sampled_from(sorted(ROUTES)), st.booleans(), KEYS, st.booleans()),
        st.tuples(st.sampled_from(["submit to webhook", *ABOUT_WEBHOOKS]), st.booleans(), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("list"), st.booleans(), st.sampled_from(["1", "2"]), st.booleans()),
        # A ticket for all jobs of the caller, or for one of either owner.
        st.tuples(st.just("ticket"), st.booleans(), KEYS, st.sampled_from(["all", "own", "other"])),
        st.tuples(st.just("submit in a dialect"), st.booleans(), KEYS, st.sampled_from(sorted(IN_DIALECTS))),
        st.tuples(st.just("one in a dialect"), st.booleans(), KEYS, st.tuples(st.booleans(), st.sampled_from(ONE_IN_DIALECTS))),
        st.tuples(st.sampled_from(["work", "sweep"]), st.just(None), st.just(None), st.just(None)),
    ),
    max_size=25,
)


class TwoWorlds:
    """Two worlds with the same steps of the first user: alone, and together with the second user."""

    def __init__(self, owners: tuple[str, str], groups: str | None) -> None:
        self.owners = owners
        self.together, self.alone = World(groups=groups), World(groups=groups)
        self._cursors: dict[str, str] = {}
        self._tokens: dict[tuple[int, str, str], str] = {}
        self._tickets: dict[tuple[int, str], str] = {}
        self._webhooks: dict[tuple[int, str], list[str]] = {}

    def step(self, step: tuple[Any, ...]) -> None:
        kind, is_first, *_ = step
        if kind in ("work", "sweep"):
            getattr(self.together, kind)()
            getattr(self.alone, kind)()
        elif is_first:
            assert self._seen(self.together, step) == self._seen(self.alone, step)
        else:
            self._act(self.together, step)

    def records_of_the_first(self, world: World) -> list[AsyncJob]:
        # Without random values: the generation, the claimant, the location in the bucket, and the token's hash.
        own = [job for job in world.store.jobs.values() if job.owner == self.owners[0] and not job.is_delivery]
        return sorted(
            (
                replace(
                    job,
                    generation="",
                    claimed_by=None,
                    result=None,
                    token_hash=None,
                    webhook=None,
                    request_hash=b"" if job.webhook else job.request_hash,  # of the webhook's id, too
                )
                for job in own
            ),
            key=lambda job: job.async_job_id,
        )

    def webhooks_of_the_first(self, world: World) -> int:
        """Return how many webhooks the first user has: all are alike but for their random values."""
        return len(world.webhooks.of(self.owners[0]).webhooks)

    def _act(self, world: World, step: tuple[Any, ...]) -> Answer:
        kind, is_first, key, detail = step
        owner = self.owners[0 if is_first else 1]
        if kind == "submit":
            answer = world.submit(owner, key=key, **BODIES[detail])
            if "workerToken" in answer.body:
                self._tokens[id(world), owner, key] = answer.body["workerToken"]
            return answer
        if kind == "list":
            query = {"limit": key, **({"cursor": self._cursors[key]} if detail and key in self._cursors else {})}
            answer = world.call(JOBS, owner, query=query)
            if answer.status == 200 and answer.body["nextCursor"]:
                self._cursors[key] = answer.body["nextCursor"]
            return answer
        if kind == "ticket":
            whose = self.owners[0 if is_first == (detail != "other") else 1]
            wanted = {"scope": "owner"} if detail == "all" else {"jobs": [job_id_for(whose, key)]}
            answer = world.call(TICKET, owner, body=json.dumps(wanted))
            if answer.status == 201:
                self._tickets[id(world), owner] = answer.body["ticket"]
            return answer
        if "webhook" in kind or kind.endswith("in a dialect"):
            return self._act_in_dialect_or_on_webhook(world, step)
        whose = self.owners[0 if is_first == detail else 1]
        if kind.endswith("with a ticket"):
            # The holder of the caller's last ticket, for a job of either owner.
            query = {"ticket": self._tickets.get((id(world), owner), "none")}
            return world.call(ROUTES[kind], None, async_job_id=job_id_for(whose, key), query=query)
        # A worker has the token of one of its owner's jobs and sends it for any job.
        token = next((token for (of, who, _), token in self._tokens.items() if (of, who) == (id(world), owner)), "")
        headers = {"authorization": f"Bearer {token}"} if kind == "report as worker" else {}
        return world.call(ROUTES[kind], owner, async_job_id=job_id_for(whose, key), headers=headers, body=PROGRESS)

    def _act_on_webhook(self, world: World, kind: str, *, is_first: bool, number: int, is_own: bool) -> Answer:
        owner, whose = self.owners[0 if is_first else 1], self.owners[0 if is_first == is_own else 1]
        known = self._webhooks.get((id(world), whose), [])
        webhook_id = known[number] if number < len(known) else UNKNOWN
        if kind == "submit to webhook":
            return world.submit(owner, key=f"w{number}", webhook=webhook_id, message="For a webhook")
        answer = world.call(
            ABOUT_WEBHOOKS[kind], owner, path={"webhookId": webhook_id}, body=json.dumps({"url": "https://app.example.com/"})
        )
        if kind == "create webhook" and answer.status == 201:
            self._webhooks.setdefault((id(world), owner), []).append(answer.body["webhookId"])
        return answer

    def _act_in_dialect_or_on_webhook(self, world: World, step: tuple[Any, ...]) -> Answer:
        kind, is_first, key, detail = step
        if "webhook" in kind:
            return self._act_on_webhook(world, kind, is_first=is_first, number=key, is_own=detail)
        owner = self.owners[0 if is_first else 1]
        if kind == "submit in a dialect":
            path, body = IN_DIALECTS[detail]
            headers = {"idempotency-key": key}
            return world.in_dialect(detail, "POST", path, owner, headers=headers, body=json.dumps(body))
        is_own, (dialect, method, path) = detail
        job_id = self._id_in(dialect, self.owners[0 if is_first == is_own else 1], key)
        return world.in_dialect(dialect, method, path.replace("{asyncJobId}", job_id), owner, body=PROGRESS)

    def _id_in(self, dialect: str, owner: str, key: str) -> str:
        """Return the id of the job in the dialect, which the other user may have seen somewhere."""
        job = self.together.store.jobs.get(JobKey(owner, job_id_for(owner, key)))
        return job_id_for(owner, key) if job is None else find_dialects([dialect])[dialect].ids.theirs(job_body(job, ""))

    def _seen(self, world: World, step: tuple[Any, ...]) -> Any:
        """Return the first user's view of the answer without random values."""
        cursors = dict(self._cursors)
        answer = self._act(world, step)
        if world is self.together:
            self._cursors = cursors  # both worlds receive the same cursor
        random = rf"results/[^?]*|aj[wt]_[\w-]*|whsec_[\w+/=]*|(?<=W/\")\w{{16}}{f'|{UUID}' if 'webhook' in step[0] else ''}"
        return answer.status, re.sub(random, "", f"{answer.headers}{answer.text}")


@settings(max_examples=150)
@given(st.tuples(OWNERS, OWNERS).filter(lambda owners: owners[0] != owners[1]), STEPS, st.sampled_from([None, "[admin]"]))
def test_owner_cannot_observe_other_owners(owners: tuple[str, str], steps: list[tuple[Any, ...]], groups: str | None) -> None:
    """An administrator, too, observes others only by the operations of administrators."""
    worlds = TwoWorlds(owners, groups)
    for step in steps:
        worlds.step(step)
    assert worlds.records_of_the_first(worlds.together) == worlds.records_of_the_first(worlds.alone)
    assert worlds.webhooks_of_the_first(worlds.together) == worlds.webhooks_of_the_first(worlds.alone)


def test_only_these_operations_cross_owners_and_each_needs_a_right() -> None:
    across = {operation for operation in OPERATIONS if operation.handler is not None and operation.route in ACROSS_OWNERS}
    assert {operation.route for operation in across} == ACROSS_OWNERS
    assert {operation for operation in OPERATIONS if isinstance(operation, AdminOperation)} == across | {RIGHTS_OPERATION}
    assert all(isinstance(operation, AdminOperation) and operation.right is not None for operation in across)
    assert not any("/admin/" in operation.route for operation in OPERATIONS if not isinstance(operation, AdminOperation))


@settings(max_examples=150)
@given(st.tuples(OWNERS, OWNERS), st.tuples(KEYS, KEYS), st.booleans())
def test_worker_token_of_one_job_is_rejected_for_another(
    owners: tuple[str, str], keys: tuple[str, str], is_finished: bool
) -> None:
    assume((owners[0], keys[0]) != (owners[1], keys[1]))
    world = World()
    first, second = (world.submit(owner, key=key).body for owner, key in zip(owners, keys, strict=True))
    if is_finished:
        world.call(ROUTES["cancel"], owners[1], async_job_id=second["asyncJobId"])
    before = dict(world.store.jobs)
    headers = {"authorization": f"Bearer {first['workerToken']}"}
    answer = world.call(
        ROUTES["report as worker"], owners[1], async_job_id=second["asyncJobId"], headers=headers, body=PROGRESS
    )
    assert (answer.status, answer.code, world.store.jobs) == (401, "INVALID_WORKER_TOKEN", before)
    own = world.call(ROUTES["report as worker"], async_job_id=first["asyncJobId"], headers=headers, body=PROGRESS)
    assert (own.status, own.body["progress"]) == (200, 50)


@settings(max_examples=150)
@given(st.tuples(OWNERS, OWNERS), st.tuples(KEYS, KEYS), st.sampled_from(["own job", "all jobs"]))
def test_ticket_opens_nothing_but_reads_of_its_jobs(owners: tuple[str, str], keys: tuple[str, str], scope: str) -> None:
    assume((owners[0], keys[0]) != (owners[1], keys[1]))
    world = World()
    first, second = (world.submit(owner, key=key).body["asyncJobId"] for owner, key in zip(owners, keys, strict=True))
    wanted = {"jobs": [first]} if scope == "own job" else {"scope": "owner"}
    ticket = world.call(TICKET, owners[0], body=json.dumps(wanted)).body["ticket"]
    before = dict(world.store.jobs)

    def status(route: str, async_job_id: str) -> int:
        # The gateway lets a request without a valid JWT reach only the routes that check a ticket or a worker's token.
        headers, query = {"authorization": f"Bearer {ticket}"}, {"ticket": ticket}
        return world.call(route, None, async_job_id=async_job_id, headers=headers, query=query, body=PROGRESS).status

    is_open = scope == "all jobs" and owners[0] == owners[1]
    assert [status(TICKET_JOB, first), status(TICKET_JOB, second)] == [200, 200 if is_open else 404]
    assert [status(TICKET_EVENTS, first), status(TICKET_EVENTS, second)] == [200, 200 if is_open else 404]
    assert [status(TICKET_RESULT, first), status(TICKET_RESULT, second)] == [409, 409 if is_open else 404]
    listed = world.call(TICKET_JOBS, None, headers={"authorization": f"Bearer {ticket}"})
    opened = {first, second} if is_open else {first}
    assert scope == "own job" or {job["asyncJobId"] for job in listed.body["jobs"]} == opened
    assert listed.status == (404 if scope == "own job" else 200)
    others = set(ROUTES.values()) - {TICKET_JOB, TICKET_JOBS, TICKET_EVENTS, TICKET_RESULT, REPORT} | {TICKET, JOBS}
    assert {status(route, first) for route in others} == {403}
    assert status(REPORT, first) == 401
    assert world.store.jobs == before
