# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""WebSocket APIs: answers to messages, and the addresses that functions get."""

import os
import re
from typing import Any

from local.emulator_patches.emulator import Properties, before_provisioning, module

_TYPE = "AWS::ApiGatewayV2::RouteResponse"
_ADDRESS = re.compile(r"(?:wss|https?)://([a-z0-9]+)\.execute-api\.[a-z0-9.-]+(?::\d+)?")


def create_route_responses() -> None:
    """Create route responses of a template, and send a function's answer only for a route with one, as AWS does.

    The emulator refuses the resource, and sends every answer.
    """
    handlers = module("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    handlers[_TYPE] = {"create": _create, "update": _update, "delete": _delete}
    apis = module("services.apigateway")
    invoke = apis._invoke_ws_lambda

    async def invoke_and_answer(api_id: str, account: str, region: str, route: Any, *rest: Any, **options: Any) -> Any:
        answer = await invoke(api_id, account, region, route, *rest, **options)
        if answer and rest[2] == "MESSAGE" and not apis._route_responses.get(api_id, {}).get(route["routeId"]):
            return {name: value for name, value in answer.items() if name != "body"}
        return answer

    apis._invoke_ws_lambda = invoke_and_answer


def reach_by_path() -> None:
    """Give functions the address of a WebSocket API that they, and programs on this machine, can reach.

    The emulator's own has a host name that only browsers resolve to this machine, and may begin with `http`.
    """
    before_provisioning("AWS::Lambda::Function", _with_paths)


def _create(_name: str, properties: Properties, *_rest: Any) -> tuple[str, Properties]:
    api_id, route_id = properties["ApiId"], properties["RouteId"].rpartition("/")[2]
    key = {"routeResponseKey": properties["RouteResponseKey"]}
    module("services.apigateway")._create_route_response(api_id, route_id, key)
    return f"{api_id}/{route_id}", {}


def _update(physical_id: str, _old: Properties, new: Properties, *_rest: Any) -> tuple[str, Properties]:
    _delete(physical_id)
    return _create("", new)


def _delete(physical_id: str, *_rest: Any) -> None:
    api_id, _, route_id = physical_id.partition("/")
    module("services.apigateway")._route_responses.get(api_id, {}).pop(route_id, None)


def _with_paths(properties: Properties) -> Properties:
    environment = properties.get("Environment") or {}
    variables = {name: _by_path(value) for name, value in environment.get("Variables", {}).items()}
    return {**properties, "Environment": {**environment, "Variables": variables}}


def _by_path(value: Any) -> Any:
    return _ADDRESS.sub(_path_of, value) if isinstance(value, str) else value


def _path_of(address: re.Match[str]) -> str:
    api = module("services.apigateway")._apis.get(address[1], {})
    if api.get("protocolType") != "WEBSOCKET":
        return address[0]
    return f"ws://127.0.0.1:{os.environ['GATEWAY_PORT']}/_aws/execute-api/{address[1]}"
