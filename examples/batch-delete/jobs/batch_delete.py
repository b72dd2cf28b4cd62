"""`batch.delete`: delete many uploads of the caller. One that cannot be deleted harms no other."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from asyncjobs import Fatal, JobContext, Retry, job

MAX_UPLOADS = 1_000

NO_KEY: JsonDict = {
    "not": {"type": "string", "pattern": "^uploads/", "description": "is a whole key: send the part after `uploads/`"}
}
UploadId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
    Field(json_schema_extra=NO_KEY),
]


class BatchInput(BaseModel):
    """The uploads to delete. An id is the part of an upload's key after `uploads/`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Not the whole key: a submit would keep each upload that its input names for the job that is to delete it.
    ids: list[UploadId] = Field(min_length=1, max_length=MAX_UPLOADS, examples=[["550e8400-e29b-41d4-a716-446655440000"]])


class Deletion(BaseModel):
    """Whether the upload is deleted. `error` says why not."""

    id: str
    deleted: bool
    error: str | None = None


class BatchOutput(BaseModel):
    """One entry for each id, in the order of the input."""

    results: list[Deletion]


@job("batch.delete", expected_seconds=3, timeout_seconds=300, retry_timeouts=False, route="POST /batch/delete")
def batch_delete(input: BatchInput, context: JobContext) -> BatchOutput:
    """Delete many of your uploads.

    An upload that does not exist counts as deleted, so another attempt begins from the start. One follows while any upload
    fails and there are attempts left. The last one returns what failed, and fails itself only if nothing was deleted.
    """
    ids = list(dict.fromkeys(input.ids))
    results = []
    for number, upload_id in enumerate(ids):
        context.progress(100 * number / len(ids), f"Deleting upload {number + 1} of {len(ids)}")
        results.append(_delete(upload_id, context))
    failed = [result for result in results if not result.deleted]
    if failed and context.attempt < context.max_attempts:
        raise Retry(f"{len(failed)} of {len(ids)} uploads could not be deleted yet.", code="NOT_ALL_DELETED")
    if len(failed) == len(ids):
        raise Fatal("None of the uploads could be deleted. Submit them again later.", code="NOTHING_DELETED")
    return BatchOutput(results=results)


def _delete(upload_id: str, context: JobContext) -> Deletion:
    try:
        context.delete_upload(f"uploads/{upload_id}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the other uploads are deleted
        context.logger.warning("An upload could not be deleted: %s", type(error).__name__)
        return Deletion(id=upload_id, deleted=False, error="It could not be deleted. Submit it again later.")
    return Deletion(id=upload_id, deleted=True)
