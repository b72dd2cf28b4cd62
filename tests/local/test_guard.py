"""The engine answers signed requests, and the few that a web page or a client without credentials needs.

The emulator as released answers the refused ones: see the tests that begin with `test_released`.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.process import REGION
from tests.local.conftest import Deployed, session

pytestmark = pytest.mark.slow

PAGE = {"origin": "https://evil.test", "sec-fetch-site": "cross-site"}
OWN_PAGE = {"sec-fetch-site": "same-origin"}
NAVIGATION = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
FRAME = NAVIGATION | {"sec-fetch-dest": "iframe"}
CLAIMED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/lambda/aws4_request&X-Amz-Signature=0"
"""A query with only the key of the signer, which a simple request can carry: a page may set no Authorization header in it."""
FUNCTIONS = "/2015-03-31/functions"
SIGN_IN = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "AWSCognitoIdentityProviderService.InitiateAuth",
}


def call(
    deployed: Deployed, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
) -> httpx.Response:
    return httpx.request(method, f"{deployed.engine.url}{path}", headers=headers, trust_env=False, **options)


def signed(deployed: Deployed, url: str, service: str, *, secret: str = "", **headers: str) -> dict[str, str]:
    keys = Credentials(deployed.engine.access_key_id, secret or deployed.engine.secret_access_key)
    request = AWSRequest("GET", url, headers=headers)
    SigV4Auth(keys, service, REGION).add_auth(request)
    return {**request.headers, "host": urlsplit(url).netloc}


# ── Without a signature ──


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", FUNCTIONS),
        ("POST", f"{FUNCTIONS}?{CLAIMED}"),
        ("GET", FUNCTIONS),
        ("GET", "/"),
        ("GET", "/bucket/key"),
        ("GET", f"/?Action=ListQueues&{CLAIMED}"),
        ("POST", "/"),
        ("GET", "/_aws/sqs/messages"),
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("OPTIONS", FUNCTIONS),
        ("GET", "/health"),
    ],
)
@pytest.mark.parametrize("headers", [{}, PAGE, OWN_PAGE], ids=["program", "page", "own page"])
def test_request_without_a_signature_is_refused(twin: Deployed, method: str, path: str, headers: dict[str, str]) -> None:
    answer = call(twin, method, path, headers)
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert "access-control-allow-origin" not in answer.headers


def test_released_creates_a_function_for_any_page(released: Deployed) -> None:
    functions = released.client("lambda")
    role = functions.get_function_configuration(FunctionName=released.outputs["Function"])["Role"]
    code = {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}  # of no file
    function = {"FunctionName": "strange", "Runtime": "python3.13", "Handler": "x.y", "Role": role, "Code": code}
    answer = call(released, "POST", f"{FUNCTIONS}?{CLAIMED}", {**PAGE, "content-type": "text/plain"}, json=function)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (httpx.codes.CREATED, "*")
    functions.delete_function(FunctionName="strange")


def test_released_lists_queues_for_any_page(released: Deployed) -> None:
    answer = call(released, "GET", f"/?Action=ListQueues&{CLAIMED.replace('lambda', 'sqs')}", PAGE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


# ── Signatures ──


def test_request_with_the_engines_credentials_is_answered(twin: Deployed) -> None:
    assert twin.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


@pytest.mark.parametrize("service", ["lambda", "dynamodb", "s3", "sqs", "cloudformation"])
@pytest.mark.parametrize("key", ["test", "000000000000", None])
def test_well_known_key_is_refused(twin: Deployed, service: str, key: str | None) -> None:
    strange: Any = session(key or twin.engine.access_key_id, "test").client(
        service,  # type: ignore[call-overload]  # one of many
        endpoint_url=twin.engine.url,
    )
    call = {
        "lambda": "list_functions",
        "dynamodb": "list_tables",
        "s3": "list_buckets",
        "sqs": "list_queues",
        "cloudformation": "list_stacks",
    }[service]
    with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|InvalidSignatureException"):
        getattr(strange, call)()


def test_released_accepts_a_known_key_with_any_signature(released: Deployed) -> None:
    strange: Any = session("test", "no secret").client("lambda", endpoint_url=released.engine.url)
    assert strange.list_functions()["Functions"]


def test_unknown_key_is_refused(twin: Deployed) -> None:
    strange: Any = session("AKIAUNKNOWN", "secret").client("dynamodb", endpoint_url=twin.engine.url)
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        strange.list_tables()


def test_signed_request_of_a_page_is_refused(twin: Deployed) -> None:
    url = f"{twin.engine.url}{FUNCTIONS}"
    headers = signed(twin, url, "lambda")
    assert httpx.get(url, headers=headers).status_code == httpx.codes.OK
    assert httpx.get(url, headers={**headers, **PAGE}).status_code == httpx.codes.FORBIDDEN


def test_signature_is_valid_for_one_request(twin: Deployed) -> None:
    headers = signed(twin, f"{twin.engine.url}{FUNCTIONS}", "lambda")
    assert httpx.get(f"{twin.engine.url}{FUNCTIONS}?Marker=x", headers=headers).status_code == httpx.codes.FORBIDDEN


def test_signed_body_cannot_be_replaced(twin: Deployed) -> None:
    keys = Credentials(twin.engine.access_key_id, twin.engine.secret_access_key)
    target = {"x-amz-target": "DynamoDB_20120810.ListTables", "content-type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"{twin.engine.url}/", headers=target, data=b"{}")
    SigV4Auth(keys, "dynamodb", REGION).add_auth(request)
    sent = dict(request.headers)
    assert call(twin, "POST", "/", sent, content=b"{}").status_code == httpx.codes.OK
    assert "InvalidSignatureException" in call(twin, "POST", "/", sent, content=b'{"Limit": 1}').text


def test_administration_of_the_emulator_is_refused(twin: Deployed) -> None:
    url = f"{twin.engine.url}/_ministack/transfer/sftp-ports"
    answer = httpx.get(url, headers=signed(twin, url, "lambda"))
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_large_body_reaches_the_emulator(twin: Deployed) -> None:
    s3, body = twin.client("s3"), bytes(range(256)) * 20_000
    s3.put_object(Bucket=twin.outputs["Bucket"], Key="large", Body=body)
    assert s3.get_object(Bucket=twin.outputs["Bucket"], Key="large")["Body"].read() == body
    s3.delete_object(Bucket=twin.outputs["Bucket"], Key="large")


# ── Host names ──


@pytest.mark.parametrize("host", ["evil.test:{port}", "evil.test", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.test:{port}"])
@pytest.mark.parametrize("path", ["/_ministack/health", "/_aws/execute-api/{api}/open/x", "/oauth2/authorize"])
def test_other_host_name_is_refused(twin: Deployed, host: str, path: str) -> None:
    headers = {"host": host.format(port=twin.engine.port)}
    assert call(twin, "GET", path.format(api=twin.outputs["SamApi"]), headers).status_code == httpx.codes.FORBIDDEN


def test_localhost_is_this_host(twin: Deployed) -> None:
    headers = {"host": f"localhost:{twin.engine.port}"}
    assert call(twin, "GET", "/_ministack/health", headers).status_code == httpx.codes.OK


def test_released_answers_under_any_host_name(released: Deployed) -> None:
    assert call(released, "GET", "/_ministack/health", {"host": "evil.test"}).status_code == httpx.codes.OK


def test_container_may_sign_for_its_name_of_this_machine(twin: Deployed) -> None:
    headers = signed(twin, f"http://host.docker.internal:{twin.engine.port}{FUNCTIONS}", "lambda")
    assert call(twin, "GET", FUNCTIONS, headers).status_code == httpx.codes.OK


# ── Deployed APIs ──


@pytest.mark.parametrize("headers", [{}, PAGE, OWN_PAGE, FRAME], ids=["program", "page", "own page", "frame"])
def test_deployed_api_decides_itself(twin: Deployed, headers: dict[str, str]) -> None:
    assert httpx.get(twin.url("SamApi", "/open/x"), headers=headers).status_code == httpx.codes.OK
    assert httpx.get(twin.url("SamApi", "/guarded"), headers=headers).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("stage", ["$default", "prod", ""])
def test_push_to_a_websocket_needs_a_signature(twin: Deployed, stage: str) -> None:
    path = f"/_aws/execute-api/{twin.outputs['SamApi']}/{stage}/@connections/1"
    assert call(twin, "POST", path, content=b"x").status_code == httpx.codes.FORBIDDEN
    assert call(twin, "POST", path.replace("@", "%40"), content=b"x").status_code == httpx.codes.FORBIDDEN
    pushing: Any = twin.session.client(
        "apigatewaymanagementapi", endpoint_url=f"{twin.engine.url}/_aws/execute-api/{twin.outputs['SamApi']}/prod"
    )
    with pytest.raises(ClientError, match="Gone"):
        pushing.post_to_connection(ConnectionId="1", Data=b"x")


@pytest.mark.parametrize("path", ["/", FUNCTIONS, "/_ministack/health"])
def test_websocket_opens_only_to_a_deployed_api(twin: Deployed, path: str) -> None:
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert call(twin, "GET", path, upgrade).status_code == httpx.codes.FORBIDDEN


# ── Signed links ──


@pytest.fixture
def link(twin: Deployed) -> str:
    where = {"Bucket": twin.outputs["Bucket"], "Key": "a b.txt"}
    twin.s3.put_object(**where, Body=b"text")
    url: str = twin.s3.generate_presigned_url("get_object", where, ExpiresIn=60)
    return url


def test_page_may_use_a_link_that_was_signed_for_it(link: str) -> None:
    answer = httpx.get(link, headers=PAGE)
    assert (answer.text, answer.headers["access-control-allow-origin"]) == ("text", "*")


def test_page_may_upload_by_a_link(twin: Deployed) -> None:
    where = {"Bucket": twin.outputs["Bucket"], "Key": "upload", "ContentType": "text/x"}
    link = twin.s3.generate_presigned_url("put_object", where, ExpiresIn=60)
    preflight = {**PAGE, "access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    assert httpx.options(link, headers=preflight).status_code == httpx.codes.OK
    assert httpx.put(link, headers={**PAGE, "content-type": "text/x"}, content=b"x").status_code == httpx.codes.OK
    assert httpx.put(link, headers={**PAGE, "content-type": "text/y"}, content=b"x").status_code == httpx.codes.FORBIDDEN


def test_link_is_valid_for_one_request(link: str) -> None:
    assert httpx.put(link, content=b"x").status_code == httpx.codes.FORBIDDEN
    assert httpx.get(link.replace("b.txt", "c.txt")).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(link.replace("Expires=60", "Expires=61")).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(f"{link}&versionId=1").status_code == httpx.codes.FORBIDDEN


def test_link_cannot_become_a_request_to_another_service(link: str) -> None:
    target = {"x-amz-target": "DynamoDB_20120810.ListTables"}
    assert httpx.get(link, headers=target).status_code == httpx.codes.FORBIDDEN
    claimed = {"authorization": f"AWS4-HMAC-SHA256 {CLAIMED}"}
    assert httpx.get(link, headers=claimed).status_code == httpx.codes.FORBIDDEN


def test_link_to_another_service_is_refused(twin: Deployed) -> None:
    link = twin.client("sqs").generate_presigned_url("list_queues", {}, ExpiresIn=60)
    assert httpx.get(link).status_code == httpx.codes.FORBIDDEN


def test_expired_link_is_refused(twin: Deployed) -> None:
    where = {"Bucket": twin.outputs["Bucket"], "Key": "a b.txt"}
    link = twin.s3.generate_presigned_url("get_object", where, ExpiresIn=1)
    time.sleep(2)
    answer = httpx.get(link)
    assert (answer.status_code, "expired" in answer.text) == (httpx.codes.FORBIDDEN, True)


# ── Signing in ──


@pytest.mark.parametrize(
    ("method", "path", "headers", "is_answered"),
    [
        ("GET", "/oauth2/authorize", {}, True),
        ("GET", "/oauth2/authorize", NAVIGATION, True),
        ("GET", "/oauth2/authorize", FRAME, False),
        ("GET", "/oauth2/authorize", PAGE, False),
        ("GET", "/logout", NAVIGATION, True),
        ("GET", "/logout", PAGE, False),
        ("POST", "/login", {}, True),
        ("POST", "/login", OWN_PAGE, True),
        ("POST", "/login", PAGE, False),
        ("POST", "/login", {"origin": "null"}, False),
        ("POST", "/login", {"origin": "https://evil.test"}, False),
        ("POST", "/oauth2/token", PAGE, True),
        ("GET", "/oauth2/userInfo", PAGE, False),
        ("GET", "/us-east-1_x/.well-known/jwks.json", PAGE, True),
        ("GET", "/bucket/us-east-1_x/.well-known/jwks.json", PAGE, False),
        ("POST", "/", SIGN_IN, True),
        ("POST", "/", SIGN_IN | {"x-amz-target": "AWSCognitoIdentityProviderService.RevokeToken"}, True),
        ("POST", "/", SIGN_IN | PAGE, False),
        ("POST", "/", SIGN_IN | {"x-amz-target": "AWSCognitoIdentityProviderService.SignUp"}, False),
        ("POST", "/", SIGN_IN | {"x-amz-target": "AWSCognitoIdentityProviderService.AdminCreateUser"}, False),
        ("POST", f"/?{CLAIMED}", SIGN_IN, False),
    ],
)
def test_sign_in_pages_are_open_as_far_as_needed(
    twin: Deployed, method: str, path: str, headers: dict[str, str], *, is_answered: bool
) -> None:
    answer = call(twin, method, path, headers, content=b"{}" if method == "POST" else None)
    assert answer.text.startswith("The local engine answers signed requests") is not is_answered


def test_sign_in_page_posts_to_itself_in_browsers_that_only_send_an_origin(twin: Deployed) -> None:
    answer = call(twin, "POST", "/login", {"origin": twin.engine.url})
    assert answer.status_code != httpx.codes.FORBIDDEN


# ── Credentials ──


def test_each_engine_has_its_own_credentials(twin: Deployed, released: Deployed) -> None:
    assert twin.engine.access_key_id != released.engine.access_key_id
    assert twin.engine.secret_access_key != released.engine.secret_access_key
    assert len(twin.engine.secret_access_key) == 40
    assert twin.engine.secret_access_key not in repr(twin.engine)


def test_credentials_of_a_function_cannot_be_guessed(twin: Deployed) -> None:
    httpx.get(twin.url("SamApi", "/open/x"))  # its process has them from its start
    with pytest.raises(ClientError, match=r"InvalidClientTokenId|security token included in the request is invalid"):
        _as_emulator_derives(twin).get_caller_identity()


def test_released_gives_functions_guessable_credentials(released: Deployed) -> None:
    released.client("lambda").invoke(FunctionName=released.outputs["Function"], Payload=json.dumps({"rawPath": "/silent"}))
    assert ":assumed-role/" in _as_emulator_derives(released).get_caller_identity()["Arn"]


def _as_emulator_derives(deployed: Deployed) -> Any:
    function = deployed.client("lambda").get_function_configuration(FunctionName=deployed.outputs["Function"])
    digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
    secret, token = (hashlib.sha256(f"{word}:{digest}".encode()).hexdigest() for word in ("secret", "token"))
    keys: Any = session(f"ASIA{digest[:16].upper()}", secret, token)
    return keys.client("sts", endpoint_url=deployed.engine.url)
