"""Parameters that are unsafe, alone or together, fail the deployment before it changes anything."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from local.errors import SamFailedError
from local.sam import Sam, Tools, architecture
from local.stack import LocalStack, Outputs

NO_AUDIENCE = {"JwtIssuer": "https://issuer.example"}, "JwtIssuer needs JwtAudience"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        NO_AUDIENCE,
        ({"JwtIssuer": "http://issuer.example", "JwtAudience": "app"}, "JwtIssuer"),
        ({"MaxBacklog": "100"}, "MaxBacklog needs"),
        ({"AllowedOrigins": "https://app.example/"}, "AllowedOrigins"),
    ],
    ids=["no audience", "no TLS", "one caller's backlog", "a slash"],
)
def test_change_to_unsafe_parameters_is_refused_with_its_reason(
    stack: LocalStack, outputs: Outputs, parameters: dict[str, str], reason: str
) -> None:
    cloudformation = stack.session.client("cloudformation", endpoint_url=outputs.endpoint_url)
    deployed = cloudformation.describe_stacks(StackName=outputs.stack_name)["Stacks"][0]["Parameters"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in deployed} | parameters
    with pytest.raises(ClientError, match=reason) as raised:
        cloudformation.create_change_set(
            StackName=outputs.stack_name,
            ChangeSetName="unsafe",
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        )
    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_deployment_with_unsafe_parameters_fails_with_their_reason(stack: LocalStack) -> None:
    (parameters, reason), tools = NO_AUDIENCE, Tools()
    given = {"PythonRuntime": tools.runtime(), "Architecture": architecture(), **parameters}
    with pytest.raises(SamFailedError, match=reason):
        Sam(stack.root, stack.state, tools).deploy("unsafe", stack.engine, given)
