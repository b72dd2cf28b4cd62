"""`batch.delete` on the deployed stack, with the permissions of its functions."""

from __future__ import annotations

import uuid

from local.stack import LocalStack
from tests.support.deployed import Caller, Job


def id_of(key: str) -> str:
    return key.removeprefix("uploads/")


def exists(stack: LocalStack, caller: Caller, key: str) -> bool:
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)
    found = s3.list_objects_v2(Bucket=stack.outputs.bucket_name, Prefix=f"inputs/{caller.owner}/{key}")
    return bool(found["KeyCount"])


def batch_delete(caller: Caller, *ids: str) -> Job:
    answer = caller.post("/batch/delete", json={"ids": ids}, headers={"prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return caller.wait_for(answer.json())


def test_uploads_are_deleted_and_a_second_run_gives_the_same_result(stack: LocalStack, alice: Caller) -> None:
    keys = [alice.upload(b"text") for _ in range(12)]
    kept = alice.upload(b"text")
    expected = {"results": [{"id": id_of(key), "deleted": True, "error": None} for key in keys]}
    for _ in range(2):
        job = batch_delete(alice, *map(id_of, keys))
        assert (job["status"], job["result"], job["attempt"]) == ("COMPLETED", expected, 1)
    assert [exists(stack, alice, key) for key in (*keys, kept)] == [False] * 12 + [True]


def test_uploads_of_another_owner_stay(stack: LocalStack, alice: Caller, bob: Caller) -> None:
    key = bob.upload(b"text of bob")
    assert batch_delete(alice, id_of(key))["status"] == "COMPLETED"
    assert exists(stack, bob, key)


def test_unknown_upload_counts_as_deleted(alice: Caller) -> None:
    unknown = str(uuid.uuid4())
    assert batch_delete(alice, unknown)["result"]["results"] == [{"id": unknown, "deleted": True, "error": None}]


def test_key_in_place_of_an_id_is_400(alice: Caller) -> None:
    answer = alice.post("/batch/delete", json={"ids": [f"uploads/{uuid.uuid4()}"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/ids/0")
    assert "the part after `uploads/`" in answer.text
