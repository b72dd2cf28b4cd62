"""A fake sam: `build` copies the template, `deploy` creates or updates the stack. Each call is appended to calls.log."""

import json
import sys
from pathlib import Path
from typing import Any


def main(command: str, *options: str) -> None:
    with Path("calls.log").open("a") as calls:
        calls.write(f"{command}\n")
    template = Path(option("--template-file", options)).read_text()
    if command == "build":
        json.loads(template)
        target = Path(option("--build-dir", options))
        target.mkdir(exist_ok=True)
        (target / "template.yaml").write_text(template)
        return
    Path("overrides.log").write_text("\n".join(option for option in options if option.startswith("ParameterKey=")))
    import boto3  # noqa: PLC0415 - it takes ten times as long as a build
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as boto3

    cloudformation: Any = boto3.client("cloudformation")
    capabilities = option("--capabilities", options).split()
    stack = {
        "StackName": option("--stack-name", options),
        "TemplateBody": template,
        "Capabilities": [*capabilities, "CAPABILITY_AUTO_EXPAND"],
    }
    try:
        cloudformation.create_stack(**stack)
        change = "create"
    except ClientError:
        cloudformation.update_stack(**stack)
        change = "update"
    waiter = cloudformation.get_waiter(f"stack_{change}_complete")
    waiter.wait(StackName=stack["StackName"], WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def option(name: str, options: tuple[str, ...]) -> str:
    return options[options.index(name) + 1]


if __name__ == "__main__":
    main(*sys.argv[1:])
