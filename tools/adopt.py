"""Make a new stack around the table, the bucket and the user pool that a deleted stack left, so that its jobs have an API again.

`make adopt STACK=name TABLE=... BUCKET=... POOL=...` imports them, as the template describes them, into a stack that has
nothing else. `make deploy STACK=name` then adds the rest.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
_NAMES = {
    "Table": ("AWS::DynamoDB::Table", "TableName"),
    "Bucket": ("AWS::S3::Bucket", "BucketName"),
    "UserPool": ("AWS::Cognito::UserPool", "UserPoolId"),
}
"""The resources that outlive a stack, and the property by which CloudFormation finds each."""
_CHANGE_SET = "adopt"


class NotAdoptedError(Exception):
    """The import did not happen; the message says why."""


def import_template(text: str, resources: Sequence[str]) -> str:
    """Return a template that has these resources only. An import must create nothing."""
    sections = dict(_blocks(text, indentation=""))
    found = dict(_blocks(sections["Resources"], indentation="  "))
    chosen = [found[name] for name in resources]
    return "".join([*(sections[name] for name in ("Parameters", "Conditions", "Mappings")), "Resources:\n", *chosen])


def adopt(cloudformation: Any, stack_name: str, physical: Mapping[str, str], parameters: Mapping[str, str]) -> None:
    """Import the resources into a new stack. Raises `NotAdoptedError`."""
    change_set = {"StackName": stack_name, "ChangeSetName": _CHANGE_SET}
    cloudformation.create_change_set(
        **change_set,
        ChangeSetType="IMPORT",
        TemplateBody=import_template(TEMPLATE.read_text(), list(physical)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        ResourcesToImport=[
            {
                "LogicalResourceId": name,
                "ResourceType": _NAMES[name][0],
                "ResourceIdentifier": {_NAMES[name][1]: physical_id},
            }
            for name, physical_id in physical.items()
        ],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig={"Delay": 2})
        cloudformation.execute_change_set(**change_set)
        cloudformation.get_waiter("stack_import_complete").wait(StackName=stack_name, WaiterConfig={"Delay": 2})
    except WaiterError as error:
        reason = error.last_response.get("StatusReason") or "read the stack's events"
        raise NotAdoptedError(f"The import failed: {reason}. Delete the stack {stack_name} before you try again.") from error


def main(arguments: Sequence[str]) -> int:
    """Import, and say what to do next."""
    parser = argparse.ArgumentParser(prog="make adopt", description="Make a new stack around what a deleted stack left.")
    parser.add_argument("--stack", required=True, help="the new stack's name")
    parser.add_argument("--region", default=None)
    parser.add_argument("--table", required=True, help="the name of the retained table")
    parser.add_argument("--bucket", required=True, help="the name of the retained bucket")
    parser.add_argument(
        "--pool", default=None, help="the id of the retained user pool; without it, use your issuer or a new pool"
    )
    parser.add_argument("parameters", nargs="*", help="the deleted stack's parameters, such as MaxRetentionDays=90")
    options = parser.parse_args(arguments)
    if not (options.stack and options.table and options.bucket):
        parser.error(
            "Give STACK=, TABLE= and BUCKET=: the names of the new stack, and of the table and the bucket that were kept."
        )
    physical = {"Table": options.table, "Bucket": options.bucket, **({"UserPool": options.pool} if options.pool else {})}
    parameters = dict(each.split("=", 1) for each in options.parameters)
    try:
        adopt(boto3.Session(region_name=options.region).client("cloudformation"), options.stack, physical, parameters)
    except (NotAdoptedError, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The stack {options.stack} has {', '.join(physical.values())}. Continue with: make deploy STACK={options.stack}")
    return 0


def _blocks(text: str, *, indentation: str) -> list[tuple[str, str]]:
    """Return the mapping's entries at this indentation, each with its lines as they are."""
    begins = re.compile(rf"^{indentation}(\w+):", re.MULTILINE)
    found = list(begins.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    return [(each.group(1), text[each.start() : end]) for each, end in zip(found, ends, strict=True)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
