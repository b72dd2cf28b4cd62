"""Parameters that are unsafe, alone or together, fail the deployment before it changes anything."""

from __future__ import annotations

import pytest

from local.errors import SamFailedError
from local.sam import Sam, Tools, architecture
from local.stack import LocalStack


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"JwtIssuer": "https://issuer.example"}, "JwtIssuer needs JwtAudience"),
        ({"JwtIssuer": "http://issuer.example", "JwtAudience": "app"}, "JwtIssuer"),
        ({"MaxBacklog": "100"}, "MaxBacklog needs"),
        ({"AllowedOrigins": "https://app.example/"}, "AllowedOrigins"),
    ],
    ids=["no audience", "no TLS", "one caller's backlog", "a slash"],
)
def test_unsafe_parameters_fail_the_deployment_with_their_reason(
    stack: LocalStack, parameters: dict[str, str], reason: str
) -> None:
    tools = Tools()
    given = {"PythonRuntime": tools.runtime(), "Architecture": architecture(), **parameters}
    with pytest.raises(SamFailedError, match=reason):
        Sam(stack.root, stack.state, tools).deploy("unsafe", stack.engine, given)
