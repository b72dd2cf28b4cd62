"""The contract of every object store, and the requests that S3 receives."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.core.clock import rfc3339
from asyncjobs.core.errors import Fatal, InputMissing, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, Result
from asyncjobs.core.placement import INLINE_RESULT_LIMIT, artifact_location, input_location, result_location
from asyncjobs.core.ports import Objects
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeObjects
from tests.support.owners import ALL, label
from tests.unit.conftest import Lines

MB = 1024 * 1024
PART = 8 * MB


@dataclass
class S3:
    """A bucket in moto and the requests that it received."""

    objects: S3Objects
    client: Any
    bucket: str
    calls: list[tuple[str, dict[str, Any]]]

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def part_sizes(self) -> list[int]:
        return [params["Body"].getbuffer().nbytes for name, params in self.calls if name == "UploadPart"]

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def unfinished_uploads(self) -> list[Any]:
        uploads: list[Any] = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return uploads


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue("aws_account")
    return clients.s3()


@pytest.fixture
def s3(client: Any) -> Iterator[S3]:
    """Return an empty bucket in moto."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def remember(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    bucket = f"jobs-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    client.meta.events.register_last("provide-client-params.s3", remember)
    yield S3(S3Objects(bucket, client), client, bucket, calls)
    client.meta.events.unregister("provide-client-params.s3", remember)


@pytest.fixture(params=["fake", "moto"])
def objects(request: pytest.FixtureRequest) -> Objects:
    """Return an empty bucket, fake or in moto."""
    if request.param == "fake":
        return FakeObjects()
    s3: S3 = request.getfixturevalue("s3")
    return s3.objects


def stored(objects: Objects, result: Result) -> bytes:
    """Return the bytes of a result in the bucket."""
    assert result.location is not None
    return read(objects, result.location)


def read(objects: Objects, location: str) -> bytes:
    """Return any object of the bucket."""
    if isinstance(objects, FakeObjects):
        return objects.read(location)
    assert isinstance(objects, S3Objects)
    with objects._open(location) as stream:
        return stream.read()


# ── Inputs ─────────────────────────────────────────────────────────────────────────────────────────


def test_input_round_trips(objects: Objects) -> None:
    job = with_large_input(objects, new_job(), b'{"a": "\xc3\xbc"}')
    assert objects.get_input(job) == b'{"a": "\xc3\xbc"}'


def test_input_of_a_retried_job_is_read(objects: Objects) -> None:
    # It keeps the name of the generation that stored it.
    job = with_large_input(objects, new_job(), b"1")
    assert objects.get_input(replace(job, generation="another")) == b"1"


def with_large_input(objects: Objects, job: AsyncJob, data: bytes) -> AsyncJob:
    return job.with_input(location=objects.put_input(job, data))


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_owner_may_be_any_subject_of_openid_connect(objects: Objects, owner: str) -> None:
    job = new_job(owner=owner)
    location = objects.put_input(job, b"1")
    assert read(objects, location) == b"1"
    objects.delete_all(replace(job, input_location=location))
    with pytest.raises(InputMissing):
        read(objects, location)


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_upload_of_any_owner_is_found_by_its_key(s3: S3, owner: str) -> None:
    key = f"uploads/{uuid.uuid4()}"
    url = urlsplit(s3.objects.upload_link(owner, key, content_type="text/plain", size=1).url)
    # As a client that resolves dots in a path sends it.
    name = unquote(urljoin(url.geturl(), url.path)).partition(f"{s3.bucket}.s3.amazonaws.com/")[2]
    s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"1")
    assert s3.objects.open_upload(owner, key).read() == b"1"


@pytest.mark.parametrize("key", ["x" * 1024, "ü" * 512, "😀" * 260])
def test_key_that_no_object_can_have_is_missing(s3: S3, key: str) -> None:
    """S3 rejects a name of more than 1,024 bytes. The job is not at fault."""
    with pytest.raises(InputMissing):
        s3.objects.open_upload("alice", key)
    assert s3.names() == []


def test_unknown_input_is_missing(objects: Objects) -> None:
    with pytest.raises(InputMissing):
        read(objects, "inputs/alice/none.json")


def test_two_generations_of_a_job_have_separate_inputs(objects: Objects) -> None:
    # The key of an expired job may be used again: a late reader of the first must not see the second.
    job = new_job()
    first = objects.put_input(job, b"1")
    second = objects.put_input(replace(job, generation="another"), b"2")
    assert (read(objects, first), read(objects, second)) == (b"1", b"2")


def test_upload_link_fixes_the_type_and_the_size(s3: S3) -> None:
    link = s3.objects.upload_link("alice@example.org", "uploads/1", content_type="application/pdf", size=9)
    parts = urlsplit(link.url)
    query = parse_qs(parts.query)
    # S3 decodes the path once: the escapes in the owner's area are part of the name.
    assert unquote(parts.path).endswith("/inputs/alice%40example.org/uploads/1")
    assert query["X-Amz-SignedHeaders"] == [";".join(sorted([*link.headers, "host"]))]
    assert link.headers == {
        "content-type": "application/pdf",
        "content-length": "9",
        "if-none-match": "*",
        "x-amz-tagging": "keptForJobOf=none",
    }
    assert query["X-Amz-Expires"] == ["900"]
    assert s3.keys() == []


def add_upload(objects: Objects, owner: str, key: str) -> None:
    """Add what an upload by a link leaves."""
    if isinstance(objects, FakeObjects):
        objects.stored[f"inputs/{owner}/{key}"] = b"x"
    elif isinstance(objects, S3Objects):
        location: Any = {"Bucket": objects._bucket_name, "Key": f"inputs/{owner}/{key}"}
        objects._client.put_object(**location, Body=b"x", Tagging="keptForJobOf=none")


def has_upload(objects: Objects, owner: str, key: str) -> bool:
    try:
        objects.open_upload(owner, key).close()
    except InputMissing:
        return False
    return True


def test_upload_is_deleted_with_the_job_that_it_was_kept_for_last(objects: Objects) -> None:
    first, second = new_job(), new_job(now=NOW + timedelta(seconds=1))
    for key in ("uploads/1", "uploads/2", "uploads/3"):
        add_upload(objects, first.owner, key)
    objects.keep_uploads(first, ["uploads/1", "uploads/2"])
    objects.keep_uploads(second, ["uploads/2"])
    objects.delete_all(first, ["uploads/1", "uploads/2", "uploads/3"])
    assert [has_upload(objects, first.owner, f"uploads/{number}") for number in (1, 2, 3)] == [False, True, True]
    objects.delete_all(second, ["uploads/2"])
    assert not has_upload(objects, first.owner, "uploads/2")


def test_missing_upload_is_kept_and_deleted_in_vain(objects: Objects) -> None:
    job = new_job()
    objects.keep_uploads(job, ["uploads/1"])
    objects.delete_all(job, ["uploads/1"])
    objects.delete_upload(job.owner, "uploads/1")
    assert not has_upload(objects, job.owner, "uploads/1")


def test_upload_that_was_deleted_in_a_bucket_with_versions_counts_as_missing(s3: S3) -> None:
    # Under a delete marker, S3 has no tags to answer with: 405.
    job = new_job()
    with Stubber(s3.client) as stub:
        stub.add_client_error("put_object_tagging", "MethodNotAllowed", http_status_code=405)
        s3.objects.keep_uploads(job, ["uploads/1"])
        stub.add_client_error("get_object_tagging", "MethodNotAllowed", http_status_code=405)
        s3.objects.delete_all(job, ["uploads/1"])
        stub.assert_no_pending_responses()


def test_owner_deletes_only_its_own_upload(objects: Objects) -> None:
    for owner in ("alice", "bob"):
        add_upload(objects, owner, "uploads/1")
    objects.delete_upload("alice", "uploads/1")
    assert [has_upload(objects, owner, "uploads/1") for owner in ("alice", "bob")] == [False, True]


def test_upload_of_another_owner_is_neither_kept_nor_deleted(objects: Objects) -> None:
    add_upload(objects, "bob", "uploads/1")
    job = new_job(owner="alice")
    objects.keep_uploads(job, ["uploads/1"])
    objects.delete_all(job, ["uploads/1"])
    assert has_upload(objects, "bob", "uploads/1")


def test_upload_has_the_tag_of_the_bucket_rule_until_a_job_keeps_it(s3: S3) -> None:
    job, location = new_job(), {"Bucket": s3.bucket, "Key": f"inputs/{OWNER}/uploads/1"}
    add_upload(s3.objects, OWNER, "uploads/1")
    assert s3.client.get_object_tagging(**location)["TagSet"] == [{"Key": "keptForJobOf", "Value": "none"}]
    s3.objects.keep_uploads(job, ["uploads/1"])
    assert s3.client.get_object_tagging(**location)["TagSet"] == [{"Key": "keptForJobOf", "Value": rfc3339(job.created_at)}]


def test_delete_removes_only_the_jobs_objects(objects: Objects) -> None:
    job = running_job(attempt=2)
    job = replace(job, input_location=objects.put_input(job, b"1"))
    successor = replace(job, generation="another")
    kept = objects.put_input(successor, b"2")
    left = []
    for attempt in (1, 2):
        with objects.open_result(replace(job, attempt=attempt), "text/plain") as writer:
            writer.write(b"x")
        left.append(writer.close())
    objects.delete_all(job)
    for location in (job.input_location, *(result.location for result in left)):
        with pytest.raises(InputMissing):
            read(objects, location or "")
    assert read(objects, kept) == b"2"
    objects.delete_all(job)


def test_delete_of_a_job_without_objects_sends_no_request(s3: S3) -> None:
    s3.objects.delete_all(new_job())
    assert s3.calls == []


def test_object_that_s3_does_not_delete_is_an_error(s3: S3) -> None:
    with Stubber(s3.client) as stubber:
        stubber.add_response("delete_objects", {"Errors": [{"Key": "x", "Code": "InternalError"}]})
        with pytest.raises(Unavailable):
            s3.objects.delete_all(running_job())


def test_owners_upload_is_read_as_a_stream(objects: Objects) -> None:
    job = new_job()
    location = objects.put_input(job, b"0123456789")
    key = location.removeprefix(f"inputs/{job.owner}/")
    with objects.open_upload(job.owner, key) as stream:
        assert (stream.read(4), stream.read()) == (b"0123", b"456789")


def test_upload_is_read_line_by_line(objects: Objects) -> None:
    job = new_job()
    location = objects.put_input(job, b"one\ntwo\nthree")
    stream = objects.open_upload(job.owner, location.removeprefix(f"inputs/{job.owner}/"))
    assert (stream.readline(), list(stream), stream.read()) == (b"one\n", [b"two\n", b"three"], b"")
    stream.close()


@pytest.mark.parametrize("key", ["none.pdf", "../alice/{rest}", "./{rest}", "", "/{rest}"])
def test_key_cannot_leave_the_owners_area(objects: Objects, key: str) -> None:
    job = new_job(owner="alice")
    rest = objects.put_input(job, b"secret").removeprefix("inputs/alice/")
    for owner in ("bob", "alic", "alice/x"):
        with pytest.raises(InputMissing):
            objects.open_upload(owner, key.format(rest=rest))


# ── Uploads and files of an owner's jobs ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_uploads_of_an_owner_are_listed_in_the_order_of_their_keys(objects: Objects, owner: str) -> None:
    keys = [f"uploads/{uuid.uuid4()}" for _ in range(3)]
    for key in keys:
        objects.put_upload(owner, key, b"123", content_type="text/plain")
    objects.put_input(new_job(owner=owner), b"1")
    objects.save_file(owner, "index", io.BytesIO(b"1"))
    for other in (owner[:-1] or "y", "uploads"):
        objects.put_upload(other, f"uploads/{uuid.uuid4()}", b"1", content_type="text/plain")
    found = list(objects.uploads(owner))
    assert [(each.key, each.size) for each in found] == [(key, 3) for key in sorted(keys)]
    assert {each.uploaded_at.tzinfo is None for each in found} == {False}


def test_uploads_are_listed_beyond_the_first_page(s3: S3) -> None:
    for number in range(5):
        s3.objects.put_upload("alice", f"uploads/{number}", b"1", content_type="text/plain")

    def in_pages_of_two(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 2

    s3.client.meta.events.register_first("provide-client-params.s3.ListObjectsV2", in_pages_of_two)
    assert [each.key for each in s3.objects.uploads("alice")] == [f"uploads/{number}" for number in range(5)]
    s3.client.meta.events.unregister("provide-client-params.s3.ListObjectsV2", in_pages_of_two)
    assert s3.names().count("ListObjectsV2") == 3


def test_owner_without_uploads_has_none(objects: Objects) -> None:
    assert list(objects.uploads("nobody")) == []


def test_saved_file_replaces_the_earlier_one(objects: Objects) -> None:
    for data in (b"first", b"second"):
        objects.save_file("alice", "search/index", io.BytesIO(data))
    with objects.open_file("alice", "search/index") as file:
        assert file.read() == b"second"


def test_saved_file_belongs_to_its_owner(objects: Objects) -> None:
    objects.save_file("alice", "index", io.BytesIO(b"secret"))
    for owner in ("bob", "alic", "alice/x"):
        with pytest.raises(InputMissing):
            objects.open_file(owner, "index")


def test_file_that_fails_to_be_saved_leaves_the_earlier_one(s3: S3) -> None:
    s3.objects.save_file("alice", "index", io.BytesIO(b"first"))
    with Stubber(s3.client) as stub:
        stub.add_client_error("put_object", "SlowDown", http_status_code=503)
        with pytest.raises(Unavailable):
            s3.objects.save_file("alice", "index", io.BytesIO(b"second"))
    assert s3.objects.open_file("alice", "index").read() == b"first"


# ── Results ────────────────────────────────────────────────────────────────────────────────────────


def test_small_json_result_is_inline(objects: Objects) -> None:
    with objects.open_result(running_job()) as writer:
        assert writer.write(b'{"a": ') == 6
        writer.write('"ü"}'.encode())
    assert writer.close() == Result(text='{"a": "ü"}')


def test_json_result_is_inline_up_to_the_limit(objects: Objects) -> None:
    def result(size: int) -> Result:
        writer = objects.open_result(running_job())
        writer.write(b'"' + b"x" * (size - 2) + b'"')
        return writer.close()

    largest = result(INLINE_RESULT_LIMIT)
    assert largest.text is not None
    assert (len(largest.text), largest.location) == (INLINE_RESULT_LIMIT, None)
    larger = result(INLINE_RESULT_LIMIT + 1)
    assert larger.text is None
    assert len(stored(objects, larger)) == INLINE_RESULT_LIMIT + 1


def test_other_result_is_stored_in_the_bucket_at_any_size(objects: Objects) -> None:
    with objects.open_result(running_job(), "text/csv") as writer:
        writer.write(b"a,b\n")
    assert stored(objects, writer.close()) == b"a,b\n"


def test_empty_result_is_an_empty_object(objects: Objects) -> None:
    assert stored(objects, objects.open_result(running_job(), "text/csv").close()) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nope",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"\xff",
        '{"a": 1}'.encode("utf-16"),
        "1".encode("utf-16-le"),
        rb'"\ud800"',
    ],
)
def test_invalid_json_is_rejected(objects: Objects, data: bytes) -> None:
    writer = objects.open_result(running_job())
    writer.write(data)
    with pytest.raises(Fatal) as caught:
        writer.close()
    assert caught.value.code == "RESULT_NOT_SERIALIZABLE"


@pytest.mark.parametrize("size", [1, INLINE_RESULT_LIMIT + 1])
def test_closed_result_rejects_writes_and_stays_the_same(objects: Objects, size: int) -> None:
    writer = objects.open_result(running_job())
    writer.write(b"1" * size)
    result = writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"2")
    writer.discard()
    assert writer.close() == result
    assert result.location is None or stored(objects, result) == b"1" * size


def test_each_attempt_and_generation_has_its_own_object(objects: Objects) -> None:
    first = running_job()
    locations = set()
    for job in (first, replace(first, attempt=2), replace(first, generation="another"), replace(first, async_job_id="another")):
        writer = objects.open_result(job, "text/csv")
        writer.write(b"x")
        locations.add(writer.close().location)
    assert len(locations) == 4
    assert all(location is not None and location.startswith("results/") for location in locations)


def test_result_is_discarded_on_an_exception(objects: Objects) -> None:
    job = running_job()
    no_bytes: Any = None
    with pytest.raises(TypeError), objects.open_result(job, "text/csv") as writer:
        writer.write(b"half" + no_bytes)
    with pytest.raises(InputMissing):
        read(objects, f"results/{job.async_job_id}/{job.generation}/{job.attempt}")


# ── Artifacts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 3, PART + 1])
def test_artifact_is_an_object_at_any_size(objects: Objects, size: int) -> None:
    job = running_job(attempt=2)
    with objects.open_artifact(job, 3, name="report.json", content_type="application/json") as writer:
        writer.write(b"x" * size)
    result = writer.close()
    assert result == Result(location=artifact_location(job, 2, 3))
    assert stored(objects, result) == b"x" * size


def test_artifact_is_discarded_on_an_exception(objects: Objects) -> None:
    job = running_job()
    with pytest.raises(ZeroDivisionError), objects.open_artifact(job, 1, name="a", content_type="text/csv") as writer:
        writer.write(b"half" * (1 // 0))
    with pytest.raises(InputMissing):
        read(objects, artifact_location(job, 1, 1))


def test_artifacts_of_all_attempts_are_deleted_with_the_job(objects: Objects) -> None:
    job = running_job(attempt=2)
    for attempt, number in ((1, 1), (2, 1), (2, 10)):
        with objects.open_artifact(replace(job, attempt=attempt), number, name="a", content_type="text/csv") as writer:
            writer.write(b"x")
    objects.delete_all(job)
    for attempt, number in ((1, 1), (2, 1), (2, 10)):
        with pytest.raises(InputMissing):
            read(objects, artifact_location(job, attempt, number))


@pytest.mark.parametrize("size", [3, PART + 1])
def test_artifact_is_downloaded_under_its_name_and_never_shown(s3: S3, size: int) -> None:
    job = running_job()
    with s3.objects.open_artifact(job, 1, name="report 1.pdf", content_type="application/pdf") as writer:
        writer.write(b"x" * size)
    found = s3.client.get_object(Bucket=s3.bucket, Key=artifact_location(job, 1, 1))
    assert (found["ContentType"], found["ContentDisposition"]) == ("application/pdf", 'attachment; filename="report 1.pdf"')


def test_link_of_an_artifact_names_its_object(objects: Objects) -> None:
    job = running_job(attempt=2)
    assert unquote(urlsplit(objects.artifact_link(job, 3)).path).endswith(artifact_location(job, 2, 3))


def test_link_names_the_object(objects: Objects) -> None:
    job = with_large_result(running_job())
    assert result_location(job, 1) in unquote(urlsplit(objects.link(job)).path)


def with_large_result(job: AsyncJob, location: str | None = None) -> AsyncJob:
    return job.completed(now=NOW, result=Result(location=location or result_location(job, job.attempt)))


# ── Locations in records ───────────────────────────────────────────────────────────────────────────

BOB = running_job(owner="bob", async_job_id="00000000-0000-4000-8000-00000000000b")
SIBLING = running_job(async_job_id="00000000-0000-4000-8000-00000000000a")
FOREIGN = [
    result_location(BOB, 1),
    input_location(BOB),
    result_location(SIBLING, 1),
    input_location(SIBLING),
    "inputs/alice/uploads/1",
    f"inputs/alice/{JOB_ID}",
    f"inputs/alice/{JOB_ID}/",
    f"inputs/alice/{JOB_ID}/../{SIBLING.async_job_id}/{SIBLING.generation}.json",
    f"inputs/alice/{JOB_ID}/x/y.json",
    f"results/{JOB_ID}/g/1",
    f"results/{JOB_ID}",
    "x",
]


@pytest.fixture
def foreign(objects: Objects, request: pytest.FixtureRequest) -> str:
    """Store an object that is not the job's, and return its location."""
    location: str = request.param
    if isinstance(objects, FakeObjects):
        objects.stored[location] = b"secret"
    else:
        s3: S3 = request.getfixturevalue("s3")
        s3.client.put_object(Bucket=s3.bucket, Key=location, Body=b"secret")
    return location


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_object_of_another_job_is_no_input(objects: Objects, foreign: str) -> None:
    with pytest.raises(InputMissing):
        objects.get_input(replace(running_job(), input_location=foreign))


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_object_of_another_job_is_not_deleted(objects: Objects, foreign: str) -> None:
    job = running_job()
    with objects.open_result(job, "text/plain") as writer:
        writer.write(b"x")
    objects.delete_all(replace(job, input_location=foreign))
    assert read(objects, foreign) == b"secret"
    with pytest.raises(InputMissing):
        read(objects, result_location(job, 1))


@pytest.mark.parametrize("foreign", [*FOREIGN, result_location(running_job(), 2)], indirect=True)
def test_object_of_another_job_has_no_link(objects: Objects, foreign: str) -> None:
    with pytest.raises(Unreadable):
        objects.link(with_large_result(running_job(), foreign))


def test_refused_location_is_logged_without_the_location(s3: S3, lines: Lines) -> None:
    job = replace(running_job(), input_location=result_location(BOB, 1))
    s3.objects.delete_all(job)
    (line,) = lines.events
    assert (line["message"], line["asyncJobId"]) == ("LOCATION_REFUSED", job.async_job_id)
    assert BOB.async_job_id not in lines.text()


# ── S3 ─────────────────────────────────────────────────────────────────────────────────────────────


def test_large_result_is_uploaded_in_parts_while_it_is_written(s3: S3) -> None:
    data = bytes(range(256)) * (20 * MB // 256)
    with s3.objects.open_result(running_job()) as writer:
        for start in range(0, len(data), 3 * MB):
            writer.write(data[start : start + 3 * MB])
            written = min(start + 3 * MB, len(data))
            # Memory holds only the bytes that are not sent yet.
            assert s3.names().count("UploadPart") == written // PART
    assert s3.part_sizes() == [PART, PART, 4 * MB]
    assert "PutObject" not in s3.names()
    assert stored(s3.objects, writer.close()) == data


def test_only_the_completion_of_an_upload_uses_the_patient_client(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(name: str) -> Any:
        made.append(name)
        return s3.client

    for name in ("s3", "patient_s3"):
        monkeypatch.setattr(clients, name, partial(make, name))
    objects = S3Objects(s3.bucket)
    with objects.open_result(running_job()) as small:
        small.write(b'"x"')
    with objects.open_result(running_job()) as large:
        large.write(b"x" * (PART + 1))
        assert made == ["s3"]
    assert made == ["s3", "patient_s3"]
    assert s3.names()[-1] == "CompleteMultipartUpload"


def test_one_large_write_is_sent_in_parts(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"x" * (17 * MB))
    result = writer.close()
    assert s3.part_sizes() == [PART, PART, MB]
    assert len(stored(s3.objects, result)) == 17 * MB


def test_result_of_whole_parts_has_no_empty_part(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"x" * PART)
    result = writer.close()
    assert s3.part_sizes() == [PART]
    assert len(stored(s3.objects, result)) == PART


def test_result_below_one_part_is_one_put(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b'"' + b"x" * MB + b'"')
    writer.close()
    assert s3.names() == ["PutObject"]


def test_small_result_sends_no_request(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"{}")
    writer.close()
    assert s3.calls == []


def test_discarded_upload_leaves_nothing(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"x" * (9 * MB))
    assert len(s3.unfinished_uploads()) == 1
    writer.discard()
    writer.discard()
    assert (s3.unfinished_uploads(), s3.keys()) == ([], [])


def test_completed_upload_is_not_discarded(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"x" * (9 * MB))
    result = writer.close()
    writer.discard()
    assert s3.keys() == [result.location]
    assert "AbortMultipartUpload" not in s3.names()


def test_failed_discard_is_left_to_the_buckets_lifecycle(s3: S3) -> None:
    writer = s3.objects.open_result(running_job())
    writer.write(b"x" * PART)
    with Stubber(s3.client) as stub:
        stub.add_client_error("abort_multipart_upload", "SlowDown", http_status_code=503)
        writer.discard()
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(("content_type", "size"), [("text/csv", 3), ("text/csv", PART), ("application/json", PART)])
def test_object_has_the_content_type_it_was_opened_with(s3: S3, content_type: str, size: int) -> None:
    writer = s3.objects.open_result(running_job(), content_type)
    writer.write(b"1" * size)
    head = s3.client.head_object(Bucket=s3.bucket, Key=writer.close().location)
    assert head["ContentType"] == content_type


def test_each_owner_has_its_own_area_for_any_characters(s3: S3) -> None:
    location = s3.objects.put_input(new_job(owner="a/../b?c=%2e&ü"), b"1")
    assert location.startswith("inputs/a%2F..%2Fb%3Fc%3D%252e%26%C3%BC/")
    assert read(s3.objects, location) == b"1"
    assert s3.keys() == [location]


def named(job: AsyncJob) -> AsyncJob:
    """Return the job with a large input that may not exist."""
    return job.with_input(location=input_location(job))


def test_link_expires_after_five_minutes_and_is_a_download(s3: S3) -> None:
    link = urlsplit(s3.objects.link(with_large_result(running_job())))
    query = parse_qs(link.query)
    assert query["X-Amz-Expires"] == ["300"]
    assert query["response-content-disposition"] == ["attachment"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("put_object", lambda objects: objects.put_input(new_job(), b"1")),
        ("get_object", lambda objects: objects.get_input(named(new_job()))),
        ("get_object", lambda objects: objects.open_upload("alice", "x")),
        ("get_object", lambda objects: objects.open_file("alice", "x")),
        ("list_objects_v2", lambda objects: list(objects.uploads("alice"))),
        ("put_object", lambda objects: objects.open_result(new_job(), "text/csv").close()),
        ("create_multipart_upload", lambda objects: objects.open_result(new_job()).write(b"x" * PART)),
    ],
    ids=["put_input", "get_input", "open_upload", "open_file", "uploads", "close", "write"],
)
def test_unavailable_bucket_is_unavailable(s3: S3, operation: str, call: Callable[[Objects], object]) -> None:
    with Stubber(s3.client) as stub:
        stub.add_client_error(operation, "SlowDown", http_status_code=503)
        with pytest.raises(Unavailable):
            call(s3.objects)


def test_broken_connection_during_a_read_is_unavailable(s3: S3) -> None:
    job = with_large_input(s3.objects, new_job(), json.dumps("x" * 100).encode())

    def cut_short(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Body"] = StreamingBody(io.BytesIO(b'"xxx'), 102)

    s3.client.meta.events.register("after-call.s3.GetObject", cut_short)
    with pytest.raises(Unavailable):
        s3.objects.get_input(job)
    s3.client.meta.events.unregister("after-call.s3.GetObject", cut_short)


def test_denied_access_is_not_a_missing_input(s3: S3) -> None:
    with Stubber(s3.client) as stub:
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        with pytest.raises(s3.client.exceptions.ClientError):
            s3.objects.get_input(named(new_job()))


def test_denied_access_is_a_missing_input_to_a_role_that_may_not_list_the_bucket(s3: S3) -> None:
    objects = S3Objects(s3.bucket, s3.client, may_list=False)
    job = with_large_input(objects, new_job(), b"1")
    assert objects.get_input(job) == b"1"
    with Stubber(s3.client) as stub:
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        with pytest.raises(InputMissing):
            objects.get_input(job)


def test_denied_key_is_not_a_missing_input_to_a_role_that_may_not_list_the_bucket(s3: S3) -> None:
    objects = S3Objects(s3.bucket, s3.client, may_list=False)
    denied = "User: arn:aws:sts::1:assumed-role/status is not authorized to perform: kms:Decrypt on the resource"
    with Stubber(s3.client) as stub:
        stub.add_client_error("get_object", "AccessDenied", denied, http_status_code=403)
        with pytest.raises(s3.client.exceptions.ClientError, match="kms:Decrypt"):
            objects.get_input(named(new_job()))


# ── Contents that come and go with a request ───────────────────────────────────────────────────────


def test_upload_of_a_request_is_stored_once(objects: Objects) -> None:
    key = f"uploads/{uuid.uuid4()}"
    objects.put_upload(OWNER, key, b"1", content_type="text/plain")
    objects.put_upload(OWNER, key, b"2", content_type="text/plain")
    assert objects.open_upload(OWNER, key).read() == b"1"


def test_upload_of_a_request_is_deleted_by_the_bucket_until_a_job_keeps_it(s3: S3) -> None:
    key = f"uploads/{uuid.uuid4()}"
    s3.objects.put_upload(OWNER, key, b"1", content_type="text/plain")
    tags = s3.client.get_object_tagging(Bucket=s3.bucket, Key=f"inputs/{OWNER}/{key}")["TagSet"]
    assert tags == [{"Key": "keptForJobOf", "Value": "none"}]


def test_upload_at_the_moment_of_another_is_unavailable() -> None:
    client = clients.s3()
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        with pytest.raises(Unavailable):
            S3Objects("bucket", client).put_upload(OWNER, "uploads/x", b"1", content_type="text/plain")


@pytest.mark.parametrize(
    ("content_type", "at_most", "found"),
    [("application/json", 20_000, True), ("application/json", 100, False), ("text/csv", 20_000, False)],
)
def test_stored_result_is_read_if_it_is_json_and_small_enough(
    objects: Objects, content_type: str, at_most: int, found: bool
) -> None:
    job = running_job()
    with objects.open_result(job, content_type) as writer:
        writer.write(b"[" + b"1," * 5000 + b"1]")
    ended = job.completed(now=NOW, result=writer.close())
    assert (objects.get_result(ended, at_most=at_most) is not None) is found


def test_missing_result_is_none(objects: Objects) -> None:
    job = running_job()
    ended = job.completed(now=NOW, result=Result(location=result_location(job, 1)))
    assert objects.get_result(ended, at_most=100) is None


def test_result_of_another_job_is_not_read(objects: Objects) -> None:
    ended = running_job().completed(now=NOW, result=Result(location="results/other/generation/1"))
    with pytest.raises(Unreadable):
        objects.get_result(ended, at_most=100)
