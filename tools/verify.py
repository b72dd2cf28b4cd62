"""Check a deployed stack: one line for each assumption that only a deployment can show.

`make verify STACK=name` uses the caller's AWS credentials. It takes some minutes and a few jobs, and leaves nothing behind
but those jobs, which expire in an hour. With another token issuer than the stack's own user pool, give a token: `TOKEN=...`.

A line begins with HOLDS, FAILS or UNSEEN. UNSEEN means that this run could not show the assumption, and says why.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from local.samples import raw_pdf

FUNCTIONS = ("Submit", "Status", "Worker", "Sweeper", "Stream")
FINISHED = {"COMPLETED", "FAILED", "CANCELLED"}
_PAGES = 40
"""Pages of the sample document: its text is larger than a record holds, so the result is stored in the bucket."""
_RETENTION_SECONDS = 3600
_LEAST_QUOTA = 100
_JOB_SECONDS = 120
_LOG_SECONDS = 60
_REPORT = re.compile(r"RequestId: (\S+).*?Billed Duration: (\d+) ms")
_MANY_DUE = 100
"""How many due jobs make the time of a sweep worth a line."""
_MOST_HEADERS = 10_240
"""Bytes of a request line and all headers that the gateway accepts."""
_OTHER_HEADERS = 2_048
"""What a browser's headers and a path take of them."""
_MOST_POLICY = 20_480
"""Bytes of a function's own policy, in which each route has a statement."""
_ISSUER_SECONDS = 1.5


class Verdict(StrEnum):
    """What a check found."""

    HOLDS = "HOLDS"
    FAILS = "FAILS"
    UNSEEN = "UNSEEN"


class FailsError(Exception):
    """The assumption does not hold; the message says what was found and what to do."""


class UnseenError(Exception):
    """An assumption that this run cannot show; the message says why."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    assumption: str
    detail: str

    def __str__(self) -> str:
        return f"{self.verdict:<6}  {self.assumption}: {self.detail}"


@dataclass
class Deployment:
    """A deployed stack, and a user of its API."""

    stack_name: str
    session: boto3.Session
    endpoint_url: str | None
    token: str
    id_token: str | None
    api_url: str
    shared: dict[str, Any] = field(default_factory=dict)
    """Jobs of one check that a later one uses."""
    _open: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close all connections."""
        self._open.close()

    def client(self, service: Any) -> Any:
        """Return a client for an AWS service in the stack's region."""
        return self._open.enter_context(closing(self.session.client(service, endpoint_url=self.endpoint_url)))

    @property
    def is_local(self) -> bool:
        """Whether an emulator plays AWS."""
        return self.endpoint_url is not None

    @cached_property
    def description(self) -> Mapping[str, Any]:
        """The stack as CloudFormation describes it."""
        found: dict[str, Any] = self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"][0]
        return found

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """Physical ids by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
        }

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The deployment's parameters."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.description.get("Parameters", [])}

    @cached_property
    def http(self) -> httpx.Client:
        """A client of the API that sends the user's token."""
        return self._http({"authorization": f"Bearer {self.token}"})

    @cached_property
    def anonymous(self) -> httpx.Client:
        """A client of the API that sends no token."""
        return self._http({})

    def submit(
        self, job_type: str, input: Mapping[str, Any], *, key: str | None = None, repeats: bool = False
    ) -> dict[str, Any]:
        """Submit a job to a worker. Raise `UnseenError` if the stack has no such job type.

        A repeated submit may return a job that has finished by now.
        """
        body = {"jobType": job_type, "input": input, "retentionSeconds": _RETENTION_SECONDS}
        headers = {"prefer": "respond-async"} if key is None else {"prefer": "respond-async", "idempotency-key": key}
        response = self.http.post("/jobs", json=body, headers=headers)
        if response.status_code == httpx.codes.BAD_REQUEST and response.json().get("code") == "UNKNOWN_JOB_TYPE":
            raise UnseenError(f"the stack has no job type {job_type}")
        has_finished = repeats and response.status_code == httpx.codes.OK
        return _body(response, httpx.codes.OK if has_finished else httpx.codes.ACCEPTED)

    def wait(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Poll until the job has finished, as often as `Retry-After` allows. Raise `FailsError` if it does not in time."""
        end = time.monotonic() + _JOB_SECONDS
        while True:
            response = self.http.get(f"/jobs/{job['asyncJobId']}")
            found = _body(response, httpx.codes.OK)
            if found["status"] in FINISHED:
                return found
            if time.monotonic() > end:
                raise FailsError(f"the job is still {found['status']} after {_JOB_SECONDS} s; read the worker's log")
            time.sleep(min(float(response.headers.get("retry-after", "1")), 5))

    def lines(self, function: str, term: str, since: datetime, *, seconds: float = _LOG_SECONDS) -> list[str]:
        """Return a function's log lines that hold the term; wait for the first one."""
        group, end = self.resources[f"{function}Log"], time.monotonic() + seconds
        pages = self.client("logs").get_paginator("filter_log_events")
        while True:
            events = [
                event
                for page in pages.paginate(
                    logGroupName=group, filterPattern=f'"{term}"', startTime=int(since.timestamp() * 1000)
                )
                for event in page["events"]
            ]
            # An emulator may ignore the pattern.
            found = [event["message"] for event in events if term in event["message"]]
            if found or time.monotonic() > end:
                return found
            time.sleep(2)

    def _http(self, headers: Mapping[str, str]) -> httpx.Client:
        client = httpx.Client(base_url=f"{self.api_url}/api/v1", headers=headers, timeout=60, trust_env=not self.is_local)
        return self._open.enter_context(client)


Check = Callable[[Deployment], str]
CHECKS: list[tuple[str, Check]] = []


def check(assumption: str) -> Callable[[Check], Check]:
    """Add the function below to the checks. It returns what it saw, or raises `FailsError` or `UnseenError`."""

    def add(function: Check) -> Check:
        CHECKS.append((assumption, function))
        return function

    return add


def findings(deployment: Deployment, checks: Sequence[tuple[str, Check]] | None = None) -> Iterator[Finding]:
    """Run the checks in their order; a later check may use a job of an earlier one."""
    for assumption, function in CHECKS if checks is None else checks:
        try:
            yield Finding(Verdict.HOLDS, assumption, function(deployment))
        except FailsError as error:
            yield Finding(Verdict.FAILS, assumption, str(error))
        except UnseenError as error:
            yield Finding(Verdict.UNSEEN, assumption, str(error))
        except ClientError as error:
            yield Finding(*_verdict_of(error, deployment, assumption))
        except (BotoCoreError, httpx.HTTPError) as error:
            yield Finding(Verdict.FAILS, assumption, f"no answer ({type(error).__name__}: {error})")


def _verdict_of(error: ClientError, deployment: Deployment, assumption: str) -> tuple[Verdict, str, str]:
    code = error.response.get("Error", {}).get("Code", "")
    if code in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}:
        return Verdict.UNSEEN, assumption, f"your credentials may not call {error.operation_name}"
    if deployment.is_local:
        return Verdict.UNSEEN, assumption, f"the local engine does not answer {error.operation_name} ({code})"
    return Verdict.FAILS, assumption, f"{error.operation_name} answered {code}"


# ── The deployment ─────────────────────────────────────────────────────────────────────────────────


@check("The stack is deployed")
def _stack(deployment: Deployment) -> str:
    status: str = deployment.description["StackStatus"]
    if not status.endswith("_COMPLETE") or "ROLLBACK" in status or status.startswith("DELETE"):
        raise FailsError(f"{status}; read the stack's events, then deploy again")
    return status


@check("Each function starts with its runtime's botocore")
def _starts(deployment: Deployment) -> str:
    client, seen = deployment.client("lambda"), []
    for function in FUNCTIONS:
        found = client.get_function_configuration(FunctionName=deployment.resources[f"{function}Function"])
        if found.get("State", "Active") != "Active" or found.get("LastUpdateStatus", "Successful") != "Successful":
            raise FailsError(f"{function} is {found.get('State')}, its last update {found.get('LastUpdateStatus')}")
        seen.append(f"{function.lower()} {found['Runtime']}")
    # These two functions answer; the worker and the sweeper are shown by the job and the sweep below.
    _expect(deployment.anonymous.get("/health"), httpx.codes.OK)
    _expect(deployment.http.post(f"/jobs/{'0' * 8}-0000-4000-8000-{'0' * 12}/cancel"), httpx.codes.NOT_FOUND)
    return ", ".join(seen)


@check("The account has concurrency for the workers and for waiting callers")
def _quota(deployment: Deployment) -> str:
    limits = deployment.client("lambda").get_account_settings()["AccountLimit"]
    quota = limits["ConcurrentExecutions"]
    workers = sum(int(deployment.parameters[f"{priority}Concurrency"]) for priority in ("High", "Standard", "Low"))
    if quota < _LEAST_QUOTA:
        raise FailsError(
            f"{quota} concurrent executions, of which the workers may take {workers}: each waiting caller holds one more."
            " Request a higher quota (Service Quotas, Lambda, Concurrent executions)"
        )
    return f"{quota} concurrent executions, of which the workers may take {workers}"


@check("Lambda allows the worker's chain of lock hand-overs")
def _recursion(deployment: Deployment) -> str:
    if deployment.is_local:
        raise UnseenError("the local engine does not detect recursive loops")
    name = deployment.resources["WorkerFunction"]
    found = deployment.client("lambda").get_function_recursion_config(FunctionName=name)["RecursiveLoop"]
    if found != "Allow":
        raise FailsError(f"RecursiveLoop is {found}: Lambda stops a queue behind one lock after 16 jobs")
    return "RecursiveLoop is Allow"


@check("Each queue and the table's stream invoke their function")
def _mappings(deployment: Deployment) -> str:
    client, seen = deployment.client("lambda"), []
    for function in ("Worker", "Stream"):
        name = deployment.resources[f"{function}Function"]
        for mapping in client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            source = mapping["EventSourceArn"].split(":")[5].split("/")[0]
            if mapping["State"] not in {"Enabled", "Creating", "Enabling", "Updating"}:
                raise FailsError(f"the mapping of {source} is {mapping['State']}: {mapping.get('StateTransitionReason')}")
            cap = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
            seen.append(f"{source} {mapping['State']}" + (f", at most {cap} at a time" if cap else ""))
    return "; ".join(seen)


@check("The functions' policies have room for more routes")
def _policies(deployment: Deployment) -> str:
    client, seen = deployment.client("lambda"), []
    for function in ("Submit", "Status"):
        policy = client.get_policy(FunctionName=deployment.resources[f"{function}Function"])["Policy"]
        each = len(policy) / len(json.loads(policy)["Statement"])
        seen.append(f"{function.lower()} {len(policy)} bytes, room for {(_MOST_POLICY - len(policy)) / each:.0f} more")
    return "; ".join(seen)


@check("The table expires records and can be restored")
def _table(deployment: Deployment) -> str:
    client, name = deployment.client("dynamodb"), deployment.resources["Table"]
    expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    restore = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    if expiry.get("AttributeName") != "recordExpiresAt" or expiry["TimeToLiveStatus"] not in {"ENABLED", "ENABLING"}:
        raise FailsError(f"time to live is {expiry}")
    if restore != "ENABLED" and not deployment.is_local:
        raise FailsError(f"point-in-time recovery is {restore}")
    return f"time to live {expiry['TimeToLiveStatus']}, point-in-time recovery {restore}"


# ── Tokens ─────────────────────────────────────────────────────────────────────────────────────────


@check("The gateway rejects a request without a token and one with an ID token")
def _authorizer(deployment: Deployment) -> str:
    missing = deployment.anonymous.get("/jobs")
    _expect(missing, httpx.codes.UNAUTHORIZED)
    challenge = missing.headers.get("www-authenticate")
    if deployment.id_token is None:
        return f"401 without a token (WWW-Authenticate: {challenge}); the issuer is not the stack's, so no ID token was tried"
    answered = deployment.anonymous.get("/jobs", headers={"authorization": f"Bearer {deployment.id_token}"})
    if answered.status_code not in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise FailsError(f"an ID token was answered {answered.status_code}; set JwtScope to a scope of access tokens")
    return f"401 without a token (WWW-Authenticate: {challenge}), {answered.status_code} with an ID token"


@check("The token leaves room for other headers")
def _token_size(deployment: Deployment) -> str:
    size = len(deployment.token)
    if size > _MOST_HEADERS - _OTHER_HEADERS:
        raise FailsError(
            f"{size} bytes: the gateway rejects a request whose headers exceed {_MOST_HEADERS}; have the issuer leave out groups"
        )
    return f"{size} of {_MOST_HEADERS} bytes"


@check("The issuer's keys are RSA keys with ids, and it answers in time")
def _issuer(deployment: Deployment) -> str:
    issuer = deployment.parameters.get("JwtIssuer", "")
    if not issuer:
        if deployment.is_local:
            raise UnseenError("the local pool's issuer is an address of AWS")
        issuer = f"https://cognito-idp.{deployment.session.region_name}.amazonaws.com/{deployment.resources['UserPool']}"
    began = time.monotonic()
    document = _body(httpx.get(f"{issuer.removesuffix('/')}/.well-known/openid-configuration", timeout=10), httpx.codes.OK)
    keys = _body(httpx.get(document["jwks_uri"], timeout=10), httpx.codes.OK)["keys"]
    took = time.monotonic() - began
    if document["issuer"] != issuer:
        raise FailsError(f"JwtIssuer is {issuer}, but the tokens have {document['issuer']}: they must match to the letter")
    usable = [key for key in keys if key["kty"] == "RSA" and "kid" in key]
    if not usable:
        raise FailsError("none of its keys is an RSA key with an id: the gateway verifies no other signature")
    if took > _ISSUER_SECONDS:
        raise FailsError(f"it took {took:.1f} s; the gateway waits {_ISSUER_SECONDS} s, and keeps the keys for two hours")
    return f"{len(usable)} of {len(keys)} keys, read in {took:.1f} s"


@check("The sign-in page answers")
def _sign_in_page(deployment: Deployment) -> str:
    if "SignInClient" not in deployment.resources:
        raise UnseenError("the stack has no sign-in page: SignInUrls is empty, or JwtIssuer is set")
    outputs = {each["OutputKey"]: each["OutputValue"] for each in deployment.description["Outputs"]}
    base = deployment.endpoint_url or outputs["SignInUrl"]
    query = {
        "client_id": outputs["SignInClientId"],
        "redirect_uri": deployment.parameters["SignInUrls"].split(",")[0],
        "response_type": "code",
        "scope": "openid asyncjobs/jobs",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    trusted = not deployment.is_local
    answered = httpx.get(f"{base}/oauth2/authorize", params=query, follow_redirects=True, timeout=30, trust_env=trusted)
    if answered.status_code != httpx.codes.OK or "password" not in answered.text:
        raise FailsError(
            f"{answered.url} was answered {answered.status_code} without a form; Cognito may require a branding style"
        )
    return "a form for name and password"


@check("A user's token changes no email address")
def _addresses(deployment: Deployment) -> str:
    if deployment.id_token is None:
        raise UnseenError("the token is not that of a user made for this check")
    if deployment.is_local:
        raise UnseenError("the local engine lets every client write every attribute")
    try:
        deployment.client("cognito-idp").update_user_attributes(
            AccessToken=deployment.token, UserAttributes=[{"Name": "email", "Value": "verify@example.com"}]
        )
    except ClientError as error:
        return f"UpdateUserAttributes was refused: {error.response['Error']['Code']}"
    raise FailsError("UpdateUserAttributes was accepted; WriteAttributes of the pool's client must not list email")


@check("The challenge of a rejected worker token arrives")
def _challenge(deployment: Deployment) -> str:
    path = f"/jobs/{'0' * 8}-0000-4000-8000-{'0' * 12}/report"
    answered = deployment.anonymous.patch(path, json={"status": "COMPLETED"}, headers={"authorization": "Bearer none"})
    _expect(answered, httpx.codes.UNAUTHORIZED)
    names = [name for name in answered.headers if name.endswith("www-authenticate")]
    if not names:
        raise FailsError("the gateway dropped the header; clients must not rely on it")
    return str(names[0])


@check("Requests reach the function as the client wrote them")
def _request(deployment: Deployment) -> str:
    """AWS documents for none of these what its gateway does."""
    job = gzip.compress(
        json.dumps({"jobType": "text.search", "input": {"query": "lease"}, "retentionSeconds": _RETENTION_SECONDS}).encode()
    )
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    compressed = deployment.http.post("/jobs", content=job, headers=headers)
    if compressed.status_code not in {httpx.codes.OK, httpx.codes.ACCEPTED}:
        raise FailsError(f"a compressed body was answered {compressed.status_code}: clients must send it as it is")
    _expect(deployment.http.get("/jobs", params=[("limit", "1"), ("limit", "1")]), httpx.codes.BAD_REQUEST)
    twice = [("content-type", "application/json"), ("idempotency-key", "k"), ("idempotency-key", "k")]
    _expect(deployment.http.post("/jobs", content=b"{}", headers=twice), httpx.codes.BAD_REQUEST)
    _expect(deployment.anonymous.head("/health"), httpx.codes.OK)
    return "a compressed body, a repeated parameter, a repeated header, HEAD"


@check("A browser origin may call the API")
def _cors(deployment: Deployment) -> str:
    origin = deployment.parameters.get("AllowedOrigins", "").split(",")[0]
    if not origin:
        raise UnseenError("AllowedOrigins is empty")
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key",
    }
    answered = deployment.anonymous.options("/jobs", headers=headers)
    allowed = answered.headers.get("access-control-allow-origin")
    if allowed not in {origin, "*"}:
        raise FailsError(f"a preflight from {origin} was answered {answered.status_code}, allowing {allowed}")
    return f"a preflight from {origin} is allowed"


@check("The gateway answers what no route takes")
def _no_route(deployment: Deployment) -> str:
    seen = {
        "an unknown method": deployment.http.put("/jobs"),
        "a slash at the end": deployment.http.get("/jobs/"),
        "a body of 7 MB": deployment.http.post("/jobs", json={"input": "x" * 7_000_000}),
    }
    return ", ".join(f"{what} {answer.status_code}" for what, answer in seen.items())


# ── Jobs ───────────────────────────────────────────────────────────────────────────────────────────


@check("A worker runs a job, and its status is inline")
def _job(deployment: Deployment) -> str:
    began = time.monotonic()
    key = secrets.token_hex(8)
    job = deployment.submit("text.search", {"query": "lease"}, key=key)
    again = deployment.submit("text.search", {"query": "lease"}, key=key, repeats=True)
    if again["asyncJobId"] != job["asyncJobId"]:
        raise FailsError("the same Idempotency-Key made two jobs")
    found = deployment.wait(job)
    deployment.shared["job"] = found
    if found["status"] != "COMPLETED":
        raise FailsError(f"it ended {found['status']}: {found['error']}")
    return f"COMPLETED after {time.monotonic() - began:.1f} s, attempt {found['attempt']}"


@check("An upload is bound to its type and length, and happens once; a large result is bound to its link")
def _objects(deployment: Deployment) -> str:
    document = raw_pdf.long_report(_PAGES)
    upload = _body(
        deployment.http.post("/uploads", json={"contentType": "application/pdf", "contentLength": len(document)}),
        httpx.codes.CREATED,
    )
    # A server that rejects an upload may close the connection before it has read it all: so that one has its own.
    with httpx.Client(timeout=60, trust_env=not deployment.is_local) as rejected:
        other = rejected.put(upload["url"], content=document, headers={**upload["headers"], "content-type": "text/plain"})
        if other.status_code != httpx.codes.FORBIDDEN and not deployment.is_local:
            raise FailsError(f"S3 answered {other.status_code} to another content type than the signed one")
    with httpx.Client(timeout=60, trust_env=not deployment.is_local) as plain:
        _expect(plain.put(upload["url"], content=document, headers=upload["headers"]), httpx.codes.OK)
        again = plain.put(upload["url"], content=document, headers=upload["headers"])
        if again.status_code != httpx.codes.PRECONDITION_FAILED:
            raise FailsError(f"S3 answered {again.status_code} to a second object of one upload link")
        found = deployment.wait(deployment.submit("document.extract", {"key": upload["key"]}))
        if found["resultType"] != "S3":
            raise FailsError(f"the job ended {found['status']}, its result {found['resultType']}: {found['error']}")
        link = deployment.http.get(f"/jobs/{found['asyncJobId']}/result")
        _expect(link, httpx.codes.SEE_OTHER)
        result = _body(plain.get(link.headers["location"]), httpx.codes.OK)
    if result["pageCount"] != _PAGES:
        raise FailsError(f"the result has {result['pageCount']} pages instead of {_PAGES}")
    return f"{len(document) // 1024} KB uploaded, the result fetched from {httpx.URL(link.headers['location']).host}"


@check("Answers without a body arrive as they were sent")
def _no_body(deployment: Deployment) -> str:
    job = deployment.shared.get("job") or deployment.wait(deployment.submit("text.search", {"query": "lease"}))
    path = f"/jobs/{job['asyncJobId']}"
    tag = deployment.http.get(path).headers["etag"]
    known = deployment.http.get(path, headers={"if-none-match": tag})
    _expect(known, httpx.codes.NOT_MODIFIED)
    deleted = deployment.http.delete(path)
    _expect(deleted, httpx.codes.NO_CONTENT)
    seen = {str(answer.status_code): answer.headers.get("content-type", "none") for answer in (known, deleted)}
    return ", ".join(f"{status} with content type {kind}" for status, kind in seen.items())


@check("The sweeper runs each minute and keeps up")
def _sweeper(deployment: Deployment) -> str:
    since = datetime.now(UTC) - timedelta(minutes=5)
    lines = deployment.lines("Sweeper", "SWEPT", since, seconds=90)
    if not lines:
        raise FailsError("no sweep was logged in the last minutes; look at the schedule and at the sweeper's errors")
    swept = json.loads(lines[-1])
    return f"the last sweep read {swept['lookedAt']} due jobs and sent {swept['sent']}; the oldest was due for {swept['oldestDueAgeMs']} ms"


@check("Time of a sweep with many due jobs")
def _sweep_time(deployment: Deployment) -> str:
    since = datetime.now(UTC) - timedelta(hours=6)
    swept = [json.loads(line) for line in deployment.lines("Sweeper", "SWEPT", since, seconds=0)]
    due = {line.get("requestId"): line["lookedAt"] for line in swept if line["lookedAt"] >= _MANY_DUE}
    if not due:
        raise UnseenError(f"no sweep of the last hours had {_MANY_DUE} due jobs; it shows after a backlog")
    billed = dict(_REPORT.findall("\n".join(deployment.lines("Sweeper", "Billed Duration", since, seconds=0))))
    times = [int(billed[request]) / count for request, count in due.items() if request in billed]
    if not times:
        raise UnseenError("no REPORT lines: SystemLogLevel is WARN, or the engine writes none")
    return f"median {statistics.median(times):.1f} ms per due job, in {len(times)} sweeps"


@check("The dead-letter queue is empty")
def _dead_letters(deployment: Deployment) -> str:
    url = deployment.resources["DeadLetterQueue"]
    names = ["ApproximateNumberOfMessages"]
    count = deployment.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]]
    if int(count):
        raise FailsError(f"{count} messages; read them, then delete or redrive them")
    return "0 messages"


# ── Logs, metrics and money ────────────────────────────────────────────────────────────────────────


@check("A problem's requestId is in the function's log")
def _request_id(deployment: Deployment) -> str:
    if deployment.is_local:
        raise UnseenError("the local gateway's header names another request id than its event")
    since = datetime.now(UTC) - timedelta(seconds=5)
    body = {"jobType": "text.search", "input": {"query": "lease"}, "retentionSeconds": _RETENTION_SECONDS}
    accepted = deployment.http.post("/jobs", json=body)
    if not accepted.is_success:
        raise UnseenError(f"a submit was answered {accepted.status_code}")
    request_id = accepted.headers["apigw-requestid"]
    if not deployment.lines("Submit", request_id, since):
        raise FailsError(f"no line of the submit function has {request_id}; look at its log group")
    return request_id


@check("The API writes its access log")
def _access_log(deployment: Deployment) -> str:
    if deployment.is_local:
        raise UnseenError("the local gateway writes no access log")
    lines = deployment.lines("Api", "routeKey", datetime.now(UTC) - timedelta(minutes=15))
    if not lines:
        raise FailsError("no line in 15 minutes; a deployment needs logs:CreateLogDelivery and logs:PutResourcePolicy")
    broken = [line for line in lines if not _is_json(line)]
    if broken:
        raise FailsError(f"{len(broken)} of {len(lines)} lines are no JSON, such as {broken[0]}")
    return f"{len(lines)} lines in 15 minutes"


@check("What a client gets when Lambda throttles a function")
def _throttled(deployment: Deployment) -> str:
    if deployment.is_local:
        raise UnseenError("the local engine throttles no function")
    lines = deployment.lines("Api", "integrationError", datetime.now(UTC) - timedelta(days=1), seconds=0)
    calls = [json.loads(line) for line in lines if _is_json(line)]
    found = {call["status"] for call in calls if re.search("throttl|rate exceeded", call["integrationError"], re.IGNORECASE)}
    if not found:
        raise UnseenError("no function was throttled in a day; it needs more calls than the account's quota")
    return f"status {', '.join(sorted(found))}"


@check("S3 may write the access log of the bucket")
def _bucket_log(deployment: Deployment) -> str:
    target = deployment.parameters.get("AccessLogBucket", "")
    if not target:
        raise UnseenError("AccessLogBucket is empty")
    if "logging.s3.amazonaws.com" not in deployment.client("s3").get_bucket_policy(Bucket=target)["Policy"]:
        raise FailsError(f"the policy of {target} does not let logging.s3.amazonaws.com write, so log files are dropped")
    return f"{target}; files arrive up to hours later"


@check("CloudWatch counts jobs by the log's metric lines")
def _metrics(deployment: Deployment) -> str:
    dimensions = [{"Name": "application", "Value": deployment.stack_name}]
    end = time.monotonic() + (5 if deployment.is_local else 180)
    while True:
        found = deployment.client("cloudwatch").list_metrics(Namespace="asyncjobs", Dimensions=dimensions)["Metrics"]
        names = sorted({metric["MetricName"] for metric in found})
        if "JobsAccepted" in names:
            return ", ".join(names)
        if time.monotonic() > end:
            raise UnseenError("no metric yet; CloudWatch lists a new metric up to 15 minutes late")
        time.sleep(5)


@check("Billed time of one invocation")
def _billed(deployment: Deployment) -> str:
    since, seen = datetime.now(UTC) - timedelta(minutes=15), []
    for function in ("Submit", "Status", "Worker", "Sweeper"):
        lines = deployment.lines(function, "Billed Duration", since, seconds=5)
        billed = [int(found.group(2)) for line in lines if (found := _REPORT.search(line))]
        if billed:
            seen.append(f"{function.lower()} {statistics.median(billed):.0f} ms (of {len(billed)})")
    if not seen:
        raise UnseenError("no REPORT lines: SystemLogLevel is WARN, or the engine writes none")
    return "median " + ", ".join(seen)


@check("Traces arrive in X-Ray")
def _traces(deployment: Deployment) -> str:
    if deployment.parameters.get("Tracing") != "Active":
        raise UnseenError("Tracing is not Active")
    if deployment.is_local:
        raise UnseenError("the local engine has no X-Ray")
    now = datetime.now(UTC)
    found = deployment.client("xray").get_trace_summaries(StartTime=now - timedelta(minutes=15), EndTime=now)["TraceSummaries"]
    if not found:
        raise FailsError("no trace in 15 minutes; the roles may lack xray:PutTraceSegments, deploy again")
    return f"{len(found)} traces in 15 minutes"


@check("The throttle of ApiRateLimit")
def _throttle(_deployment: Deployment) -> str:
    raise UnseenError("not tried: to reach it would throttle your callers; watch the API's 4xx metric and its access log")


@check("The surcharge for fair queues")
def _surcharge(_deployment: Deployment) -> str:
    raise UnseenError("only the bill shows it, a day later: Cost Explorer, SQS, usage type")


# ── The command ────────────────────────────────────────────────────────────────────────────────────


def _expect(response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        raise FailsError(
            f"{response.request.method} {response.request.url.path} was answered {response.status_code} instead of {status}:"
            f" {response.text[:300]}"
        )


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _body(response: httpx.Response, status: int) -> dict[str, Any]:
    _expect(response, status)
    found: dict[str, Any] = response.json()
    return found


@contextmanager
def deployment_of(
    stack_name: str, session: boto3.Session, *, endpoint_url: str | None = None, token: str = ""
) -> Iterator[Deployment]:
    """Find the stack, with a user of its own pool who is deleted at the end, or with the token that is given."""
    with closing(Deployment(stack_name, session, endpoint_url, token, None, "")) as deployment:
        outputs = {each["OutputKey"]: each["OutputValue"] for each in deployment.description.get("Outputs", [])}
        # The local engine serves an API below its own address, whatever the stack's output says.
        deployment.api_url = f"{endpoint_url}/_aws/execute-api/{outputs['ApiId']}" if endpoint_url else outputs["ApiUrl"]
        if token:
            yield deployment
            return
        if "UserPoolId" not in outputs:
            raise FailsError("The stack takes another issuer's tokens: give one of them (TOKEN=...).")
        if deployment.parameters.get("DirectSignIn") == "NONE":
            raise FailsError("The stack's users sign in on its page only: give the access token of one (TOKEN=...).")
        pool, username = deployment.client("cognito-idp"), f"verify-{secrets.token_hex(6)}"
        password = f"Aa1!{secrets.token_urlsafe(24)}"
        user = {"UserPoolId": outputs["UserPoolId"], "Username": username}
        pool.admin_create_user(**user, MessageAction="SUPPRESS")
        try:
            pool.admin_set_user_password(**user, Password=password, Permanent=True)
            tokens = pool.admin_initiate_auth(
                UserPoolId=outputs["UserPoolId"],
                ClientId=outputs["UserPoolClientId"],
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )["AuthenticationResult"]
            deployment.token, deployment.id_token = tokens["AccessToken"], tokens["IdToken"]
            yield deployment
        finally:
            pool.admin_delete_user(**user)


def main(arguments: Sequence[str]) -> int:
    """Print the findings. Return 1 if an assumption fails, 2 if the stack cannot be checked at all."""
    parser = argparse.ArgumentParser(prog="make verify", description="Check a deployed stack with your AWS credentials.")
    parser.add_argument("--stack", default="asyncjobs", help="the stack's name")
    parser.add_argument("--region", default=None)
    options = parser.parse_args(arguments)
    session = boto3.Session(region_name=options.region)
    counts = dict.fromkeys(Verdict, 0)
    try:
        endpoint_url = os.environ.get("AWS_ENDPOINT_URL") or None  # the local engine's
        with deployment_of(options.stack, session, endpoint_url=endpoint_url, token=os.environ.get("TOKEN", "")) as deployment:
            for finding in findings(deployment):
                counts[finding.verdict] += 1
                print(finding, flush=True)
    except FailsError as error:
        print(error, file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(f"The stack {options.stack} cannot be read: {error}", file=sys.stderr)
        print("Check its name (STACK=...), AWS_PROFILE and AWS_REGION.", file=sys.stderr)
        return 2
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts[Verdict.FAILS] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
