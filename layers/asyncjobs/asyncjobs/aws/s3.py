"""Large inputs, results and artifacts in S3: inputs under `inputs/`, the others under `results/`.

An object is written once, before the record that names it, under a name that no other attempt uses. So a COMPLETED job
always names an existing object of its own. The bucket's lifecycle deletes objects of lost attempts.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.clock import rfc3339
from asyncjobs.core.errors import InputMissing, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, Result
from asyncjobs.core.placement import (
    INLINE_RESULT_LIMIT,
    JSON,
    LINK_LIFETIME,
    MAX_OBJECT_NAME,
    UPLOAD_LIFETIME,
    UPLOADS,
    artifact_location,
    checked_json,
    file_location,
    input_location,
    inputs_area,
    is_input_of,
    is_result_of,
    locations_of_attempts,
    result_location,
)
from asyncjobs.core.ports import ResultWriter, StoredUpload, UploadLink
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_PART = 8 * 1024 * 1024
_NEVER_INLINE = -1
"""A limit below the size of an empty object."""
_MISSING = frozenset({"NoSuchKey", "404"})
_HIDDEN = "AccessDenied"
"""S3's answer about a missing object to a role that may not list the bucket, and to one that lacks the object's key."""
_EXISTS, _UNDER_WAY = "PreconditionFailed", "ConditionalRequestConflict"
"""S3's answers to a PUT of an object that must not exist, and does, or is being written at this moment."""
_UNDER_DELETE_MARKER = "MethodNotAllowed"
"""S3's answer to a request about the tags of an object that was deleted, in a bucket that keeps versions."""
_KEPT_FOR, _NO_JOB = "keptForJobOf", "none"
"""The tag of an upload: when its job was created, or none. The bucket's lifecycle deletes uploads of no job after a day."""


class S3Objects:
    """`Objects` in an S3 bucket. The client is made at its first use: few requests need it, and it takes time."""

    def __init__(self, bucket_name: str, client: S3Client | None = None, *, may_list: bool = True) -> None:
        """Make the adapter. `may_list` says whether the role may list the bucket: otherwise, "forbidden" counts as missing.

        It does not if the message names a permission of KMS: then the object is there.
        """
        self._bucket_name = bucket_name
        self._may_list = may_list
        self._known_client = client
        self._patient_client: Callable[[], S3Client] = functools.cache(clients.patient_s3) if client is None else lambda: client

    @property
    def _client(self) -> S3Client:
        if self._known_client is None:
            self._known_client = clients.s3()
        return self._known_client

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        location = input_location(job)
        with clients.translated("The bucket"):
            self._client.put_object(Bucket=self._bucket_name, Key=location, Body=data, ContentType=JSON)
        return location

    def get_input(self, job: AsyncJob) -> bytes:
        location = job.input_location or ""
        if not is_input_of(job, location):
            log_event("LOCATION_REFUSED", job)
            raise InputMissing(location)
        with self._open(location) as stream, clients.translated("The bucket"):
            return stream.read()

    def open_upload(self, owner: str, key: str) -> BinaryIO:
        """See `Objects`. S3 takes `..` literally, so a key cannot leave the area."""
        location = inputs_area(owner) + key
        if len(location.encode()) > MAX_OBJECT_NAME:
            raise InputMissing(location)
        return self._open(location)

    def upload_link(self, owner: str, key: str, *, content_type: str, size: int) -> UploadLink:
        """See `Objects`. All headers are signed: S3 refuses a request whose headers differ, and a second object (412)."""
        url = self._client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket_name,
                "Key": inputs_area(owner) + key,
                "ContentType": content_type,
                "ContentLength": size,
                "IfNoneMatch": "*",
                "Tagging": f"{_KEPT_FOR}={_NO_JOB}",
            },
            ExpiresIn=int(UPLOAD_LIFETIME.total_seconds()),
        )
        headers = {
            "content-type": content_type,
            "content-length": str(size),
            "if-none-match": "*",
            "x-amz-tagging": f"{_KEPT_FOR}={_NO_JOB}",
        }
        return UploadLink(url, headers)

    def put_upload(self, owner: str, key: str, data: bytes, *, content_type: str) -> None:
        with _existing_ignored(), clients.translated("The bucket"):
            self._client.put_object(
                Bucket=self._bucket_name,
                Key=inputs_area(owner) + key,
                Body=data,
                ContentType=content_type,
                IfNoneMatch="*",
                Tagging=f"{_KEPT_FOR}={_NO_JOB}",
            )

    def keep_uploads(self, job: AsyncJob, keys: Sequence[str]) -> None:
        """See `Objects`. The bucket's lifecycle deletes by the tag that the upload began with."""
        tags: Any = {"TagSet": [{"Key": _KEPT_FOR, "Value": _kept_for(job)}]}
        for key in keys:
            with _missing_ignored(), clients.translated("The bucket"):
                self._client.put_object_tagging(Bucket=self._bucket_name, Key=inputs_area(job.owner) + key, Tagging=tags)

    def delete_upload(self, owner: str, key: str) -> None:
        with clients.translated("The bucket"):
            self._client.delete_object(Bucket=self._bucket_name, Key=inputs_area(owner) + key)

    def uploads(self, owner: str) -> Iterator[StoredUpload]:
        """See `Objects`. The area's name ends with a slash, so that it begins no name of another owner's."""
        area = inputs_area(owner)
        page: Any = {"Bucket": self._bucket_name, "Prefix": area + UPLOADS}
        while True:
            with clients.translated("The bucket"):
                answer = self._client.list_objects_v2(**page)
            for each in answer.get("Contents", ()):
                yield StoredUpload(each["Key"].removeprefix(area), each["Size"], each["LastModified"])
            if not answer["IsTruncated"]:
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]

    def open_file(self, owner: str, name: str) -> BinaryIO:
        return self._open(file_location(owner, name))

    def save_file(self, owner: str, name: str, data: BinaryIO) -> None:
        """See `Objects`. One PUT: S3 shows an object when it is whole, and not before."""
        with clients.translated("The bucket"):
            self._patient_client().put_object(Bucket=self._bucket_name, Key=file_location(owner, name), Body=data)

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> ResultWriter:
        object_ = {"Bucket": self._bucket_name, "Key": result_location(job, job.attempt)}
        inline_limit = INLINE_RESULT_LIMIT if content_type == JSON else _NEVER_INLINE
        return _S3ResultWriter(self._client, self._patient_client, object_, {"ContentType": content_type}, inline_limit)

    def open_artifact(self, job: AsyncJob, number: int, *, name: str, content_type: str) -> ResultWriter:
        object_ = {"Bucket": self._bucket_name, "Key": artifact_location(job, job.attempt, number)}
        headers = {"ContentType": content_type, "ContentDisposition": f'attachment; filename="{name}"'}
        return _S3ResultWriter(self._client, self._patient_client, object_, headers, _NEVER_INLINE)

    def artifact_link(self, job: AsyncJob, number: int) -> str:
        """See `Objects`. The object itself says that it is an attachment, and its file's name."""
        return self._presigned(artifact_location(job, job.attempt, number))

    def get_result(self, job: AsyncJob, *, at_most: int) -> bytes | None:
        location = self._location_of_result(job)
        with _missing_ignored(), clients.translated("The bucket"):
            answer = self._client.get_object(Bucket=self._bucket_name, Key=location)
            with answer["Body"] as body:
                is_shown = answer["ContentType"] == JSON and answer["ContentLength"] <= at_most
                return body.read() if is_shown else None
        return None

    def delete_all(self, job: AsyncJob, uploads: Sequence[str] = ()) -> None:
        """See `Objects`. Each object belongs to an attempt, so its name is computed and not listed."""
        locations = locations_of_attempts(job)
        locations += [location for key in uploads if self._is_kept_for(job, location := inputs_area(job.owner) + key)]
        if job.input_location is not None and is_input_of(job, job.input_location):
            locations.append(job.input_location)
        elif job.input_location is not None:
            log_event("LOCATION_REFUSED", job)
        if not locations:
            return
        with clients.translated("The bucket"):
            answer = self._client.delete_objects(
                Bucket=self._bucket_name, Delete={"Objects": [{"Key": location} for location in locations], "Quiet": True}
            )
        if answer.get("Errors"):
            raise Unavailable(f"The bucket kept {len(answer['Errors'])} objects.")

    def link(self, job: AsyncJob) -> str:
        """See `Objects`. Each call signs a new URL, since a URL expires with the credentials that signed it."""
        return self._presigned(self._location_of_result(job), ResponseContentDisposition="attachment")

    def _presigned(self, location: str, **parameters: str) -> str:
        return self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket_name, "Key": location, **parameters},
            ExpiresIn=int(LINK_LIFETIME.total_seconds()),
        )

    @staticmethod
    def _location_of_result(job: AsyncJob) -> str:
        location = (job.result and job.result.location) or ""
        if not is_result_of(job, location):
            log_event("LOCATION_REFUSED", job)
            raise Unreadable("The record names an object that is not a result of its job.")
        return location

    def _is_kept_for(self, job: AsyncJob, location: str) -> bool:
        with _missing_ignored(), clients.translated("The bucket"):
            answer = self._client.get_object_tagging(Bucket=self._bucket_name, Key=location)
            return {"Key": _KEPT_FOR, "Value": _kept_for(job)} in answer["TagSet"]
        return False

    def _open(self, location: str) -> BinaryIO:
        try:
            with clients.translated("The bucket"):
                answer = self._client.get_object(Bucket=self._bucket_name, Key=location)
        except ClientError as error:
            if self._is_missing(error):
                raise InputMissing(location) from error
            raise
        # In a `with`, botocore's own stream becomes another one, which checks neither the length nor the checksum.
        body: Any = answer["Body"]
        return io.BufferedReader(body)

    def _is_missing(self, error: ClientError) -> bool:
        code = clients.error_code(error)
        if code == _HIDDEN and not self._may_list:
            return "kms:" not in str(error)
        return code in _MISSING


class _S3ResultWriter(ResultWriter):
    """A writer that keeps a result up to a limit, and uploads a larger one in parts of 8 MB while it is written."""

    def __init__(
        self,
        client: S3Client,
        patient_client: Callable[[], S3Client],
        object_: Any,
        headers: Any,
        inline_limit: int,
    ) -> None:
        self._client = client
        self._patient_client = patient_client
        self._object = object_
        self._headers = headers
        self._inline_limit = inline_limit
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._etags: list[str] = []
        self._result: Result | None = None

    def write(self, data: bytes, /) -> int:
        if self._result is not None:
            raise ValueError("This result is closed.")
        self._buffer += data
        while len(self._buffer) >= _PART:
            self._upload_part(bytes(self._buffer[:_PART]))
            del self._buffer[:_PART]
        return len(data)

    def close(self) -> Result:
        if self._result is None:
            self._result = self._finish(bytes(self._buffer))
            self._buffer.clear()
        return self._result

    def discard(self) -> None:
        self._buffer.clear()
        if self._upload_id is None or self._result is not None:
            return
        with contextlib.suppress(ClientError, Unavailable), clients.translated("The bucket"):
            # If this fails, the bucket's lifecycle aborts the upload a day later.
            self._client.abort_multipart_upload(**self._object, UploadId=self._upload_id)

    def _finish(self, rest: bytes) -> Result:
        if self._upload_id is None and len(rest) <= self._inline_limit:
            return Result(text=checked_json(rest))
        if self._upload_id is None:
            with clients.translated("The bucket"):
                self._client.put_object(**self._object, **self._headers, Body=rest)
        else:
            if rest:
                self._upload_part(rest)
            parts: Any = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
            self._client = self._patient_client()
            with clients.translated("The bucket"):
                # S3 answers a repeated completion as the first one, so the SDK may repeat it.
                self._client.complete_multipart_upload(
                    **self._object, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
        return Result(location=self._object["Key"])

    def _upload_part(self, data: bytes) -> None:
        with clients.translated("The bucket"):
            if self._upload_id is None:
                begun = self._client.create_multipart_upload(**self._object, **self._headers)
                self._upload_id = begun["UploadId"]
            part = self._client.upload_part(
                **self._object, UploadId=self._upload_id, PartNumber=len(self._etags) + 1, Body=data
            )
        self._etags.append(part["ETag"])


def _kept_for(job: AsyncJob) -> str:
    """Return the tag's value for a job: not its id, which a later job with the same idempotency key has, too."""
    return rfc3339(job.created_at)


@contextlib.contextmanager
def _existing_ignored() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if clients.error_code(error) == _UNDER_WAY:
            raise Unavailable("The same object is being uploaded.") from error
        if clients.error_code(error) != _EXISTS:
            raise


@contextlib.contextmanager
def _missing_ignored() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if clients.error_code(error) not in {*_MISSING, _UNDER_DELETE_MARKER}:
            raise
