# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""HTTP APIs: definitions, CORS and errors."""

import json
from typing import Any

from local.emulator_patches.emulator import Properties, after_provisioning, before_provisioning, module

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch"}
_ANY_METHOD = "x-amazon-apigateway-any-method"


def import_openapi_bodies() -> None:
    """Create routes, integrations, authorizers and CORS rules from an API's `Body`, as AWS does.

    SAM writes the HttpApi events into this OpenAPI document. The emulator creates an API without any route.
    """
    after_provisioning("AWS::ApiGatewayV2::Api", _import_body)


def understand_cors_properties() -> None:
    """Answer preflights by an API's `CorsConfiguration`, as AWS does.

    The emulator stores the template's spelling (AllowOrigins), reads its own (allowOrigins), and rejects every preflight.
    """
    before_provisioning("AWS::ApiGatewayV2::Api", _respell_cors)


def keep_errors_inside() -> None:
    """Answer 500 without details when a function fails, as AWS does. The emulator answers 502 with the exception's text."""
    functions = module("services.lambda_svc")
    answer = functions.lambda_execute_result_to_api_proxy_response

    def answer_without_details(result: dict[str, Any]) -> Any:
        if result.get("error") and not result.get("throttle"):
            body = json.dumps({"message": "Internal Server Error"})
            return {"statusCode": 500, "headers": {"Content-Type": "application/json"}, "body": body}, None
        return answer(result)

    functions.lambda_execute_result_to_api_proxy_response = answer_without_details


def encode_compressed_bodies() -> None:
    """Hand a compressed body to a function as base64, as every binary one.

    The emulator decides by the content type alone, and reads compressed JSON as UTF-8, which destroys it. What AWS does is not
    documented: `make verify` shows it. The API reads a body that the gateway has expanded, too.
    """
    apis = module("services.apigateway")
    invoke = apis._invoke_lambda_proxy

    def invoke_with_binary(*arguments: Any, **options: Any) -> Any:
        *before, headers, body = arguments[:7]
        if body and headers.get("content-encoding"):
            headers = _OfBinary(headers)
        return invoke(*before, headers, body, *arguments[7:], **options)

    apis._invoke_lambda_proxy = invoke_with_binary


class _OfBinary(dict[str, str]):
    """Headers whose content type looks binary to the emulator. Their copy in the event has the true one."""

    def get(self, name: str, default: Any = None) -> Any:
        return "application/octet-stream" if name == "content-type" else super().get(name, default)


def _import_body(api_id: str, properties: Properties) -> None:
    body = properties.get("Body")
    if not body:
        return
    document = json.loads(body) if isinstance(body, str) else body
    apis = module("services.apigateway")
    for part in (apis._routes, apis._integrations, apis._authorizers):
        part[api_id] = {}  # an import replaces what was there
    api = apis._apis[api_id]
    api["name"] = document.get("info", {}).get("title", api["name"])
    if cors := document.get("x-amazon-apigateway-cors"):
        api["corsConfiguration"] = {key: _listed(value) if key != "maxAge" else value for key, value in cors.items()}

    schemes = document.get("components", {}).get("securitySchemes", {})
    authorizers = {name: _create_authorizer(api_id, name, scheme) for name, scheme in schemes.items()}
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method in _METHODS or method == _ANY_METHOD:
                security = operation.get("security", document.get("security", []))
                _create_route(api_id, _route_key(method, path), operation, _requirement(security, authorizers))


def _create_authorizer(api_id: str, name: str, scheme: Properties) -> str:
    """Return the new authorizer's id."""
    authorizer = scheme["x-amazon-apigateway-authorizer"]
    if authorizer.get("type", "").lower() != "jwt":
        raise ValueError(f"Authorizer {name}: only JWT authorizers are imported locally, not {authorizer.get('type')}.")
    jwt = authorizer["jwtConfiguration"]
    properties = {
        "ApiId": api_id,
        "Name": name,
        "AuthorizerType": "JWT",
        "IdentitySource": _listed(authorizer.get("identitySource", "$request.header.Authorization")),
        "JwtConfiguration": {"Issuer": jwt["issuer"], "Audience": _listed(jwt["audience"])},
    }
    created: str = module("services.cloudformation.provisioners")._apigw_v2_authorizer_create(name, properties, "")[0]
    return created


def _create_route(api_id: str, key: str, operation: Properties, requirement: Properties) -> None:
    provisioners = module("services.cloudformation.provisioners")
    integration = operation["x-amazon-apigateway-integration"]
    properties = {
        "ApiId": api_id,
        "IntegrationType": integration["type"].upper(),
        "IntegrationUri": integration["uri"],
        "IntegrationMethod": integration.get("httpMethod", "POST"),
        "PayloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
        "TimeoutInMillis": integration.get("timeoutInMillis", 30000),
    }
    integration_id, _ = provisioners._apigw_v2_integration_create("", properties, "")
    route = {"ApiId": api_id, "RouteKey": key, "Target": f"integrations/{integration_id}", **requirement}
    provisioners._apigw_v2_route_create("", route, "")


def _requirement(security: list[dict[str, list[str]]], authorizers: dict[str, str]) -> Properties:
    """Return a route's authorization. SAM writes `NONE` for a route that is open to everybody."""
    for name, scopes in ((name, scopes) for alternative in security for name, scopes in alternative.items()):
        if name != "NONE":
            return {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name], "AuthorizationScopes": scopes}
    return {"AuthorizationType": "NONE"}


def _route_key(method: str, path: str) -> str:
    if path == "/$default":
        return "$default"
    return f"{'ANY' if method == _ANY_METHOD else method.upper()} {path}"


def _respell_cors(properties: Properties) -> Properties:
    cors = properties.get("CorsConfiguration")
    if not cors:
        return properties
    return {**properties, "CorsConfiguration": {key[0].lower() + key[1:]: value for key, value in cors.items()}}


def _listed(value: Any) -> Any:
    """Return a list. For a parameter of type CommaDelimitedList, SAM gets text from the emulator and a list from AWS."""
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value
