# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""S3 buckets: lifecycles, and the tags of deleted objects."""

from collections.abc import Callable
from typing import Any

from local.emulator_patches.emulator import Properties, after_provisioning, module


def obey_lifecycles() -> None:
    """Give a bucket the rules of its `LifecycleConfiguration`. The emulator ignores the property."""
    after_provisioning("AWS::S3::Bucket", _set_lifecycle)


def refuse_tags_of_deleted_objects() -> None:
    """Answer 405 to reads and writes of an object's tags if its newest version is a delete marker. The emulator answers 404."""
    s3 = module("services.s3")
    for name in ("_get_object_tagging", "_put_object_tagging", "_delete_object_tagging"):
        setattr(s3, name, _unless_deleted(s3, getattr(s3, name)))


def _unless_deleted(s3: Any, answer: Callable[..., Any]) -> Callable[..., Any]:
    def answered(bucket: str, key: str, *more: Any) -> Any:
        newest = (s3._object_versions.get((bucket, key)) or [{}])[-1]
        is_of_a_version = "versionId" in (more[-1] or {})
        return (
            s3._delete_marker_read_refused(newest)
            if newest.get("is_delete_marker") and not is_of_a_version
            else answer(bucket, key, *more)
        )

    return answered


def _set_lifecycle(bucket: str, properties: Properties) -> None:
    lifecycles = module("services.s3")._bucket_lifecycle
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    if rules:
        lifecycles[bucket] = [_rule(rule) for rule in rules]
    else:
        lifecycles.pop(bucket, None)


def _rule(rule: Properties) -> dict[str, Any]:
    """Return a template's rule in the spelling of S3's API."""
    left = dict(rule)
    rule_of_api: dict[str, Any] = {"Status": left.pop("Status"), "Filter": _filter(left)}
    if "Id" in left:
        rule_of_api["ID"] = left.pop("Id")
    if "ExpirationInDays" in left:
        rule_of_api["Expiration"] = {"Days": int(left.pop("ExpirationInDays"))}
    if "ExpiredObjectDeleteMarker" in left:
        rule_of_api["Expiration"] = {"ExpiredObjectDeleteMarker": left.pop("ExpiredObjectDeleteMarker")}
    if "NoncurrentVersionExpiration" in left:
        days = left.pop("NoncurrentVersionExpiration")["NoncurrentDays"]
        rule_of_api["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days)}
    if "AbortIncompleteMultipartUpload" in left:
        days = left.pop("AbortIncompleteMultipartUpload")["DaysAfterInitiation"]
        rule_of_api["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(days)}
    if left:
        raise ValueError(
            f"Lifecycle rule: {', '.join(left)} is unknown to the local engine. Add it to local/emulator_patches/s3.py."
        )
    return rule_of_api


def _filter(left: dict[str, Any]) -> dict[str, Any]:
    """Take the rule's prefix and its tags out of the rest."""
    prefix, tags = left.pop("Prefix", ""), left.pop("TagFilters", [])
    if not tags:
        return {"Prefix": prefix}
    return {"Tag": tags[0]} if len(tags) == 1 and not prefix else {"And": {"Prefix": prefix, "Tags": tags}}
