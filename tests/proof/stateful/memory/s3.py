"""S3 in memory: objects with their writers, and uploads in parts."""

# ruff: noqa: N803 - the parameters have the names that boto3 gives them

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object and its writer."""

    data: bytes
    by: Any


class MemoryS3:
    """The calls of boto3's `s3` client that the objects' adapter makes, on one bucket."""

    def __init__(self, *, bucket: str = "jobs", writer: Callable[[], Any] | None = None) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.removed: list[tuple[str, StoredObject, Any]] = []
        """The deleted keys and their deleters."""
        self._bucket = bucket
        self._writer = writer or (lambda: None)
        self._begun = 0

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> dict[str, Any]:
        self._check_bucket(Bucket)
        self.objects[Key] = StoredObject(bytes(Body), self._writer())
        return {"ETag": _etag(Body)}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._check_bucket(Bucket)
        if Key not in self.objects:
            raise _error("NoSuchKey", "The specified key does not exist.", 404)
        return {"Body": io.BytesIO(self.objects[Key].data)}

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any], refused: int = 0) -> dict[str, Any]:
        """Delete objects. `refused`, which AWS does not have, is the number of reported errors."""
        self._check_bucket(Bucket)
        keys = [entry["Key"] for entry in Delete["Objects"]]
        for key in keys[refused:]:
            # A missing object is reported as deleted.
            if key in self.objects:
                self.removed.append((key, self.objects.pop(key), self._writer()))
        return {"Errors": [{"Key": key, "Code": "InternalError"} for key in keys[:refused]]} if refused else {}

    def create_multipart_upload(self, *, Bucket: str, Key: str, ContentType: str) -> dict[str, Any]:
        self._check_bucket(Bucket)
        self._begun += 1
        upload_id = f"upload-{self._begun}"
        self.uploads[upload_id] = {}
        return {"UploadId": upload_id}

    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> dict[str, Any]:
        self._upload(Bucket, UploadId)[PartNumber] = bytes(Body)
        return {"ETag": _etag(Body)}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        parts, named = self._upload(Bucket, UploadId), MultipartUpload["Parts"]
        if [part["PartNumber"] for part in named] != sorted(parts) or any(
            _etag(parts[part["PartNumber"]]) != part["ETag"] for part in named
        ):
            raise _error("InvalidPart", "One or more of the specified parts could not be found.", 400)
        self.objects[Key] = StoredObject(b"".join(parts[number] for number in sorted(parts)), self._writer())
        del self.uploads[UploadId]
        return {}

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:
        self._upload(Bucket, UploadId)
        del self.uploads[UploadId]
        return {}

    def _upload(self, bucket: str, upload_id: str) -> dict[int, bytes]:
        self._check_bucket(bucket)
        if upload_id not in self.uploads:
            raise _error("NoSuchUpload", "The specified upload does not exist.", 404)
        return self.uploads[upload_id]

    def _check_bucket(self, name: str) -> None:
        if name != self._bucket:
            raise _error("NoSuchBucket", "The specified bucket does not exist", 404)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _error(code: str, message: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "memory")
