"""Each patch works, and the emulator as released still needs it.

When a `test_released` fails, the emulator no longer needs the patch: delete it in local/emulator_patches, with its tests.
"""

import base64
import contextlib
import gzip
import io
import json
import subprocess
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from websockets.sync.client import connect

from local import users
from local.process import PROJECT, REGION
from local.sam import Tools
from local.stack import Outputs
from tests.local.conftest import Deployed, session
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow
COMPRESSED = gzip.compress(b"{}")
_SPEAKER = "import words\ndef handler(event, context):\n    return words.GREETING + ' {name}'\n"


# ── HTTP APIs ──


def test_routes_of_a_sam_template_are_created(twin: Deployed) -> None:
    answer = httpx.get(twin.url("SamApi", "/open/a%20b"))
    assert (answer.status_code, answer.json()["path"]) == (200, "/open/a b")


def test_released_creates_no_routes_of_a_sam_template(released: Deployed) -> None:
    assert httpx.get(released.url("SamApi", "/open/x")).status_code == 404


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x.y.z"}])
def test_route_with_an_authorizer_rejects_invalid_tokens(twin: Deployed, headers: dict[str, str]) -> None:
    assert httpx.get(twin.url("SamApi", "/guarded"), headers=headers).status_code == 401


def test_route_with_an_authorizer_accepts_an_access_token(twin: Deployed, token: str) -> None:
    assert httpx.get(twin.url("SamApi", "/guarded"), headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_token_without_the_routes_scope_is_403(twin: Deployed, token: str) -> None:
    assert httpx.get(twin.url("SamApi", "/other"), headers={"Authorization": f"Bearer {token}"}).status_code == 403


@pytest.mark.usefixtures("token")  # it creates alice
def test_id_token_is_not_an_access_token(twin: Deployed) -> None:
    pool = twin.client("cognito-idp")
    pool.admin_set_user_password(UserPoolId=twin.outputs["Pool"], Username="alice", Password="Correct1!horse", Permanent=True)
    answer = pool.initiate_auth(
        ClientId=twin.outputs["PoolClient"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "alice", "PASSWORD": "Correct1!horse"},
    )["AuthenticationResult"]
    headers = {"Authorization": f"Bearer {answer['IdToken']}"}
    assert httpx.get(twin.url("SamApi", "/guarded"), headers=headers).status_code == 403


@pytest.mark.parametrize("origin", ["http://one.test", "http://two.test"])
def test_preflight_of_a_listed_origin_is_accepted(twin: Deployed, origin: str) -> None:
    answer = httpx.options(twin.url("SamApi", "/guarded"), headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, origin)


def test_preflight_of_another_origin_is_rejected(twin: Deployed) -> None:
    answer = httpx.options(twin.url("SamApi", "/guarded"), headers={"Origin": "http://evil.test"})
    assert "access-control-allow-origin" not in answer.headers


def test_preflight_of_a_plain_api_is_accepted(twin: Deployed) -> None:
    assert httpx.options(twin.url("PlainApi", "/x"), headers={"Origin": "http://one.test"}).status_code == 204


def test_released_rejects_the_preflight_of_a_plain_api(released: Deployed) -> None:
    assert httpx.options(released.url("PlainApi", "/x"), headers={"Origin": "http://one.test"}).status_code == 403


def test_failing_function_is_500_without_its_reason(twin: Deployed) -> None:
    answer = httpx.get(twin.url("PlainApi", "/fail"))
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


def test_released_returns_the_reason_of_a_failing_function(released: Deployed) -> None:
    answer = httpx.get(released.url("PlainApi", "/fail"))
    assert (answer.status_code, "what nobody may read" in answer.text) == (502, True)


def test_sam_resolves_the_parameters_of_the_deployment(twin: Deployed) -> None:
    assert "one.test" in _origins_in_the_transformed_template(twin)


def test_released_resolves_the_defaults_of_parameters(released: Deployed) -> None:
    assert _origins_in_the_transformed_template(released) == "http://default.test"


def _sent_compressed(stack: Deployed) -> Any:
    """Return the body of a function's event."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return httpx.request("GET", stack.url("PlainApi", "/x"), content=COMPRESSED, headers=headers).json()["body"]


def test_compressed_body_arrives_whole(twin: Deployed) -> None:
    assert base64.b64decode(_sent_compressed(twin)) == COMPRESSED


def test_released_reads_a_compressed_body_as_text(released: Deployed) -> None:
    assert "\ufffd" in _sent_compressed(released)


# ── Functions ──


def test_invocation_without_a_log_line_ends_with_its_function(twin: Deployed) -> None:
    assert _quickest_silent_call(twin) < 0.045 * SLOWNESS


def test_released_waits_for_a_first_log_line(released: Deployed) -> None:
    assert _quickest_silent_call(released) > 0.05


def test_lines_of_an_invocation_are_only_in_its_own_log(twin: Deployed) -> None:
    first, second = ([f"{word} {number}" for number in range(100)] for word in ("first", "second"))
    assert [line for line in _log_of_a_call(twin, first) if line.startswith(("first", "second"))] == first
    assert [line for line in _log_of_a_call(twin, second) if line.startswith(("first", "second"))] == second


def test_lines_before_a_failure_are_in_the_log(twin: Deployed) -> None:
    assert "a last word" in _log_of_a_call(twin, ["a last word"], path="/fail")


def test_empty_endpoint_means_the_engine(twin: Deployed) -> None:
    assert httpx.get(twin.url("SamApi", "/open/x")).json()["environment"]["AWS_ENDPOINT_URL"] == twin.engine.url


def test_released_keeps_an_empty_endpoint(released: Deployed) -> None:
    assert httpx.get(released.url("PlainApi", "/x")).json()["environment"]["AWS_ENDPOINT_URL"] == ""


def test_processes_share_the_unpacked_code(twin: Deployed) -> None:
    folder = Path(httpx.get(twin.url("SamApi", "/open/x")).json()["environment"]["LAMBDA_TASK_ROOT"])
    assert folder.is_symlink()
    assert not [*folder.parent.glob("*.zip")]


def test_released_packs_and_unpacks_the_code_for_each_process(released: Deployed) -> None:
    folder = Path(httpx.get(released.url("PlainApi", "/x")).json()["environment"]["LAMBDA_TASK_ROOT"])
    assert folder.is_dir()
    assert not folder.is_symlink()
    assert [file.name for file in folder.parent.glob("*.zip")] == ["code.zip"]


def test_updated_function_runs_its_new_code_on_its_layer(twin: Deployed) -> None:
    functions = twin.client("lambda")
    role = functions.get_function_configuration(FunctionName=twin.outputs["Function"])["Role"]
    layer = functions.publish_layer_version(
        LayerName="words", Content={"ZipFile": _packed("python/words.py", "GREETING = 'hello'")}
    )["LayerVersionArn"]
    name = functions.create_function(
        FunctionName="updated",
        Role=role,
        Runtime=Tools().runtime(),
        Handler="index.handler",
        Layers=[layer],
        Code={"ZipFile": _packed("index.py", _SPEAKER.format(name="first"))},
    )["FunctionName"]
    before = _answer_of(twin, name)
    functions.update_function_code(FunctionName=name, ZipFile=_packed("index.py", _SPEAKER.format(name="second")))
    assert [before, _answer_of(twin, name)] == ["hello first", "hello second"]


def test_function_may_invoke_itself_as_its_template_says(twin: Deployed) -> None:
    assert [_recursion(twin, name) for name in ("Function", "Follower")] == ["Allow", "Terminate"]


def test_released_stops_every_function_that_invokes_itself(released: Deployed) -> None:
    assert _recursion(released, "Function") == "Terminate"


def test_function_imports_the_packages_of_lambdas_runtime_alone(twin: Deployed) -> None:
    found = httpx.get(twin.url("SamApi", "/open/x")).json()["packages"]
    assert found == ["boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"]


def test_released_lets_functions_import_its_own_packages(released: Deployed) -> None:
    assert "ministack" in httpx.get(released.url("PlainApi", "/x")).json()["packages"]


# ── Queues ──


def test_only_messages_reported_as_failed_return(twin: Deployed) -> None:
    queues = twin.client("sqs")
    httpx.get(twin.url("PlainApi", "/x"))  # a cold start may take longer than messages stay hidden
    for body in ("good", "bad", "good"):
        queues.send_message(QueueUrl=twin.outputs["Queue"], MessageBody=body)
    dead = queues.receive_message(QueueUrl=twin.outputs["DeadLetterQueue"], WaitTimeSeconds=15, MaxNumberOfMessages=10)
    assert [message["Body"] for message in dead["Messages"]] == ["bad"]


def test_released_polls_no_queue_with_parameters_in_its_mapping(released: Deployed) -> None:
    queues = released.client("sqs")
    queues.send_message(QueueUrl=released.outputs["Queue"], MessageBody="good")
    time.sleep(2)
    attributes = queues.get_queue_attributes(QueueUrl=released.outputs["Queue"], AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "1"


# ── DynamoDB ──


def test_time_to_live_is_enabled(twin: Deployed) -> None:
    assert _time_to_live(twin) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_released_ignores_time_to_live(released: Deployed) -> None:
    assert _time_to_live(released) == {"TimeToLiveStatus": "DISABLED"}


def test_expiry_is_on_the_stream() -> None:
    record = _stream_after_an_expiry("patched")[-1]
    assert (record["eventName"], record["userIdentity"]["principalId"]) == ("REMOVE", "dynamodb.amazonaws.com")


def test_released_streams_no_expiry() -> None:
    assert [record["eventName"] for record in _stream_after_an_expiry()] == ["INSERT"]


def test_batch_of_a_stream_arrives_until_no_failure_is_reported(twin: Deployed) -> None:
    assert _deliveries_of_one_change(twin) == ["delivery 1", "delivery 2", "delivery 3"]


def test_released_drops_the_failures_of_a_stream(released: Deployed) -> None:
    assert _deliveries_of_one_change(released) == ["delivery 1"]


def test_restart_keeps_what_a_stream_has_to_deliver() -> None:
    assert _printed_by("restart", "patched") == ["1", "2"]


def test_released_loses_a_stream_at_a_restart() -> None:
    assert _printed_by("restart") == []


def test_stop_leaves_open_connections() -> None:
    assert _printed_by("open_connection", "patched") == "stopped"


def test_released_waits_for_open_connections() -> None:
    assert _printed_by("open_connection") == "waits"


def test_restart_ends_as_soon_as_the_state_is_saved() -> None:
    assert _text_of("saved_end", "patched") == ""


def test_released_goes_on_after_its_state_is_saved() -> None:
    assert _printed_by("saved_end") is True


def test_slow_reader_of_a_stream_delays_no_queue() -> None:
    assert _printed_by("slow_stream", "patched") == 3


def test_released_polls_no_queue_while_a_stream_is_read() -> None:
    assert _printed_by("slow_stream") == 0


# ── S3 and CloudWatch ──


def test_bucket_has_its_lifecycle(twin: Deployed) -> None:
    rules = twin.client("s3").get_bucket_lifecycle_configuration(Bucket=twin.outputs["Bucket"])["Rules"]
    assert [(rule["ID"], rule.get("Expiration"), rule.get("AbortIncompleteMultipartUpload")) for rule in rules] == [
        ("expire", {"Days": 32}, None),
        ("abort", None, {"DaysAfterInitiation": 1}),
        ("versions", {"ExpiredObjectDeleteMarker": True}, None),
        ("tag", {"Days": 1}, None),
        ("tags", {"Days": 2}, None),
    ]
    tag = {"Key": "kept", "Value": "none"}
    assert rules[3]["Filter"] == {"Tag": tag}
    assert rules[4]["Filter"]["And"].items() >= {"Prefix": "a/", "Tags": [tag]}.items()
    assert rules[2]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 3}


def test_released_ignores_lifecycles(released: Deployed) -> None:
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        released.client("s3").get_bucket_lifecycle_configuration(Bucket=released.outputs["Bucket"])


def test_tags_of_a_deleted_object_are_refused(twin: Deployed) -> None:
    assert _answers_about_tags_of_a_deleted_object(twin) == [405] * 3


def test_released_misses_the_tags_of_a_deleted_object(released: Deployed) -> None:
    assert _answers_about_tags_of_a_deleted_object(released) == [404] * 3


def _answers_about_tags_of_a_deleted_object(deployed: Deployed) -> list[int]:
    s3 = deployed.client("s3")
    place = {"Bucket": "versioned", "Key": "deleted"}
    s3.create_bucket(Bucket=place["Bucket"])
    s3.put_bucket_versioning(Bucket=place["Bucket"], VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(**place, Body=b"x")
    kept = {"TagSet": [{"Key": "kept", "Value": "x"}]}
    s3.put_object_tagging(**place, Tagging=kept)
    assert s3.get_object_tagging(**place)["TagSet"] == kept["TagSet"]
    s3.delete_object(**place)
    answers = []
    for call, more in ((s3.get_object_tagging, {}), (s3.put_object_tagging, {"Tagging": kept}), (s3.delete_object_tagging, {})):
        with pytest.raises(ClientError) as refused:
            call(**place, **more)
        answers.append(refused.value.response["ResponseMetadata"]["HTTPStatusCode"])
    return answers


def test_embedded_metric_is_stored(twin: Deployed) -> None:
    assert _calls_counted_after_one(twin) >= 1


def test_released_ignores_embedded_metrics(released: Deployed) -> None:
    assert _calls_counted_after_one(released) == 0


# ── IAM ──


def test_policy_against_plain_http_allows_requests_of_this_machine(twin: Deployed) -> None:
    assert _objects_seen_by_a_user(twin) == 0


def test_released_denies_every_request_under_that_policy(released: Deployed) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _objects_seen_by_a_user(released)


def test_permission_to_send_one_message_covers_batches(twin: Deployed) -> None:
    assert _messages_sent_by_a_user(twin) == 1


def test_released_requires_a_permission_that_aws_does_not_have(released: Deployed) -> None:
    with pytest.raises(ClientError, match="sqs:SendMessageBatch"):
        _messages_sent_by_a_user(released)


def test_call_on_one_mapping_needs_its_own_permission(twin: Deployed) -> None:
    assert _errors_of_calls_on_a_mapping(twin) == ["ResourceNotFoundException", "AccessDeniedException"]


def test_released_takes_reading_a_mapping_for_listing_and_lets_everybody_change_one(released: Deployed) -> None:
    assert _errors_of_calls_on_a_mapping(released) == ["AccessDeniedException", "ResourceNotFoundException"]


def test_condition_on_leading_keys_is_enforced(twin: Deployed) -> None:
    assert _keys_read_by_a_user_of("a#*", twin) == ["a#1"]


def test_released_ignores_a_condition_on_leading_keys(released: Deployed) -> None:
    assert _keys_read_by_a_user_of("a#*", released) == ["a#1", "b#1"]


# ── Environment of functions ─────────────────────────────────────────────────────────────────────────


def test_functions_have_only_their_own_environment(twin: Deployed) -> None:
    environment = httpx.get(twin.url("SamApi", "/open/x")).json()["environment"]
    assert environment["SEEN"] == "by functions"
    assert not {"PYTHONPATH", "PYTEST_CURRENT_TEST", "PWD", "USER", "VIRTUAL_ENV"} & environment.keys()


@pytest.fixture
def token(twin: Deployed) -> str:
    outputs = Outputs(
        api_url="",
        console_url=None,
        endpoint_url=twin.engine.url,
        region=REGION,
        table_name="",
        queue_url="",
        dead_letter_queue_url="",
        bucket_name="",
        user_pool_id=twin.outputs["Pool"],
        user_pool_client_id=twin.outputs["PoolClient"],
        pid=twin.engine.pid,
        stack_name="patches",
        access_key_id=twin.engine.access_key_id,
        secret_access_key=twin.engine.secret_access_key,
    )
    return users.token(outputs, twin.session, "alice")


def _origins_in_the_transformed_template(deployed: Deployed) -> str:
    template = deployed.client("cloudformation").get_template(StackName="patches", TemplateStage="Processed")["TemplateBody"]
    cors = template["Resources"]["SamApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    return str(cors["allowOrigins"])


def _quickest_silent_call(deployed: Deployed) -> float:
    return min(httpx.get(deployed.url("PlainApi", "/silent")).elapsed.total_seconds() for _ in range(20))


def _log_of_a_call(deployed: Deployed, lines: list[str], path: str = "/x") -> list[str]:
    answer = deployed.client("lambda").invoke(
        FunctionName=deployed.outputs["Function"], LogType="Tail", Payload=json.dumps({"rawPath": path, "lines": lines})
    )
    return base64.b64decode(answer["LogResult"]).decode().splitlines()


def _packed(name: str, source: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, source)
    return packed.getvalue()


def _answer_of(deployed: Deployed, function: str) -> Any:
    return json.loads(deployed.client("lambda").invoke(FunctionName=function)["Payload"].read())


def _recursion(deployed: Deployed, name: str) -> str:
    answer = deployed.client("lambda").get_function_recursion_config(FunctionName=deployed.outputs[name])
    return str(answer["RecursiveLoop"])


def _time_to_live(deployed: Deployed) -> Any:
    return deployed.client("dynamodb").describe_time_to_live(TableName=deployed.outputs["Table"])["TimeToLiveDescription"]


def _deliveries_of_one_change(deployed: Deployed) -> list[str]:
    """Return what the function logs within some seconds after one write: more than it has deliveries to report failures for."""
    deployed.client("dynamodb").put_item(TableName=deployed.outputs["Streamed"], Item={"pk": {"S": "one"}})
    logs, group = deployed.client("logs"), f"/aws/lambda/{deployed.outputs['Follower']}"
    lines: list[str] = []
    deadline = time.monotonic() + 8 * SLOWNESS
    while time.monotonic() < deadline and "delivery 3" not in lines:
        time.sleep(0.5)
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            events = logs.filter_log_events(logGroupName=group, filterPattern="delivery")["events"]
            lines = [event["message"].strip() for event in events]
    return lines


def _objects_seen_by_a_user(deployed: Deployed) -> Any:
    s3 = _client_of_a_user(deployed, "s3", may="s3:*")
    return s3.list_objects_v2(Bucket=deployed.outputs["Bucket"])["KeyCount"]


def _messages_sent_by_a_user(deployed: Deployed) -> int:
    sqs = _client_of_a_user(deployed, "sqs", may="sqs:SendMessage")
    answer = sqs.send_message_batch(
        QueueUrl=deployed.outputs["DeadLetterQueue"], Entries=[{"Id": "1", "MessageBody": "by a user"}]
    )
    return len(answer["Successful"])


def _errors_of_calls_on_a_mapping(deployed: Deployed) -> list[str]:
    """Return the errors of reading and of changing an unknown mapping by a user who may only read one."""
    functions, errors = _client_of_a_user(deployed, "lambda", may="lambda:GetEventSourceMapping"), list[str]()
    for call in (functions.get_event_source_mapping, functions.update_event_source_mapping):
        with pytest.raises(ClientError) as caught:
            call(UUID="00000000-0000-4000-8000-000000000000")
        errors.append(str(caught.value.response["Error"]["Code"]))
    return errors


def _keys_read_by_a_user_of(pattern: str, deployed: Deployed) -> list[str]:
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [pattern]}}
    table = _client_of_a_user(deployed, "dynamodb", may="dynamodb:GetItem", condition=condition)
    read = []
    for key in ("a#1", "b#1"):
        with contextlib.suppress(table.exceptions.ClientError):
            table.get_item(TableName=deployed.outputs["Table"], Key={"pk": {"S": key}})
            read.append(key)
    return read


def _client_of_a_user(deployed: Deployed, service: str, *, may: str, condition: Any = None) -> Any:
    iam, user = deployed.client("iam"), f"user-of-{service}"
    iam.create_user(UserName=user)
    statement = {"Effect": "Allow", "Action": may, "Resource": "*", **({"Condition": condition} if condition else {})}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="may", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys: Any = session(key["AccessKeyId"], key["SecretAccessKey"])
    return keys.client(service, endpoint_url=deployed.engine.url)


def _calls_counted_after_one(deployed: Deployed) -> float:
    httpx.get(deployed.url("PlainApi", "/x"))
    now = datetime.now(UTC)
    time.sleep(0.2)
    points = deployed.client("cloudwatch").get_metric_statistics(
        Namespace="patches",
        MetricName="Calls",
        Dimensions=[{"Name": "application", "Value": "patches"}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def _stream_after_an_expiry(*options: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = _printed_by("expiry", *options)
    return records


def _printed_by(script: str, *options: str) -> Any:
    """Return what a script of this folder prints, inside the emulator."""
    return json.loads(_text_of(script, *options))


def _text_of(script: str, *options: str) -> str:
    command = [str(Tools().engine_python), "-m", f"tests.local.{script}", *options]
    return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def _with_sockets(deployed: Deployed, *, answers: bool) -> dict[str, str]:
    """Deploy a WebSocket API with an echo, perhaps with a response of its route, and return the stack's status and its API."""
    cloudformation, name = deployed.client("cloudformation"), f"sockets-{'that-answer' if answers else 'in-silence'}"
    response = {
        "Answer": {
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {"ApiId": {"Ref": "Sockets"}, "RouteId": {"Ref": "SocketsEchoRoute"}, "RouteResponseKey": "$default"},
        }
    }
    echo = {"FunctionArn": {"Fn::GetAtt": ["Echo", "Arn"]}, "RouteResponseSelectionExpression": "$default"}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Sockets": {
                "Type": "AWS::Serverless::WebSocketApi",
                "Properties": {
                    "StageName": "v1",
                    "RouteSelectionExpression": "$request.body.action",
                    "Routes": {"echo": echo},
                },
            },
            "Echo": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Runtime": Tools().runtime(),
                    "Handler": "index.handler",
                    "InlineCode": "def handler(event, context):\n    return {'statusCode': 200, 'body': event['body']}\n",
                },
            },
            "Pusher": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Runtime": Tools().runtime(),
                    "Handler": "index.handler",
                    "InlineCode": "def handler(event, context): pass\n",
                    "Environment": {"Variables": {"URL": {"Fn::Sub": "${Sockets.ApiEndpoint}/v1"}}},
                },
            },
            **(response if answers else {}),
        },
        "Outputs": {"Sockets": {"Value": {"Ref": "Sockets"}}, "Pusher": {"Value": {"Ref": "Pusher"}}},
    }
    with contextlib.suppress(cloudformation.exceptions.AlreadyExistsException):
        cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        )
    end = time.monotonic() + 60
    while True:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS") or time.monotonic() > end:
            found = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
            return {**found, "status": stack["StackStatus"]}
        time.sleep(0.2)


def _echo(deployed: Deployed, sockets: dict[str, str]) -> str | None:
    """Return the answer to a message, or None if there is none."""
    url = f"{deployed.engine.url.replace('http', 'ws')}/_aws/execute-api/{sockets['Sockets']}/v1"
    with connect(url, proxy=None) as connection:
        connection.send('{"action": "echo"}')
        with contextlib.suppress(TimeoutError):
            return str(connection.recv(timeout=5 * SLOWNESS))
    return None


def _address(deployed: Deployed, sockets: dict[str, str]) -> str:
    functions = deployed.client("lambda")
    found: str = functions.get_function_configuration(FunctionName=sockets["Pusher"])["Environment"]["Variables"]["URL"]
    return found


# ── WebSocket APIs ──


def test_answer_of_a_route_with_a_response_reaches_the_client(twin: Deployed) -> None:
    assert _echo(twin, _with_sockets(twin, answers=True)) == '{"action": "echo"}'


def test_answer_of_a_route_without_a_response_does_not(twin: Deployed) -> None:
    assert _echo(twin, _with_sockets(twin, answers=False)) is None


def test_function_gets_an_address_that_it_can_reach(twin: Deployed) -> None:
    sockets = _with_sockets(twin, answers=False)
    own = twin.engine.url.replace("http", "ws")
    assert _address(twin, sockets) == f"{own}/_aws/execute-api/{sockets['Sockets']}/v1"


def test_released_refuses_route_responses(released: Deployed) -> None:
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::ApiGatewayV2::RouteResponse\]"):
        _with_sockets(released, answers=True)


def test_released_answers_without_a_response(released: Deployed) -> None:
    assert _echo(released, _with_sockets(released, answers=False)) == '{"action": "echo"}'


def test_released_gives_a_function_an_address_of_another_host(released: Deployed) -> None:
    assert "execute-api.localhost" in _address(released, _with_sockets(released, answers=False))
