"""Options are off by default; then they cost nothing and change no permission."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from asyncjobs.aws.log_lines import NAMESPACE
from asyncjobs.core.administration import GROUPS
from tests.template.source import deployed, resource, resources, template

OFF = {
    "AlarmTopicArn": "",
    "KmsKeyArn": "",
    "AccessLogBucket": "",
    "Tracing": "PassThrough",
    "TableDeletionProtection": "false",
    "SubmitRatePerMinute": 0,
    "MaxLiveJobsPerOwner": 0,
    "MaxBacklog": 0,
    "SubmitConcurrency": 0,
    "StatusConcurrency": 0,
    "TellQueueDepth": "false",
    "Webhooks": "OFF",
    "Dialects": "",
}
CONDITIONS = {
    "OwnKey": ("KmsKeyArn", {"Fn::Not": [{"Fn::Equals": [{"Ref": "KmsKeyArn"}, ""]}]}),
    "WithAlarms": ("AlarmTopicArn", {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}),
    "WithAccessLog": ("AccessLogBucket", {"Fn::Not": [{"Fn::Equals": [{"Ref": "AccessLogBucket"}, ""]}]}),
    "Traced": ("Tracing", {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]}),
    "WithMaxLiveJobs": ("MaxLiveJobsPerOwner", {"Fn::Not": [{"Fn::Equals": [{"Ref": "MaxLiveJobsPerOwner"}, "0"]}]}),
    "WithMaxBacklog": ("MaxBacklog", {"Fn::Not": [{"Fn::Equals": [{"Ref": "MaxBacklog"}, "0"]}]}),
    "WithSubmitConcurrency": ("SubmitConcurrency", {"Fn::Not": [{"Fn::Equals": [{"Ref": "SubmitConcurrency"}, "0"]}]}),
    "WithStatusConcurrency": ("StatusConcurrency", {"Fn::Not": [{"Fn::Equals": [{"Ref": "StatusConcurrency"}, "0"]}]}),
    "WithWebhooks": ("Webhooks", {"Fn::Not": [{"Fn::Equals": [{"Ref": "Webhooks"}, "OFF"]}]}),
    "WithQueueDepth": ("TellQueueDepth", {"Fn::Equals": [{"Ref": "TellQueueDepth"}, "true"]}),
    "WithDialects": ("Dialects", {"Fn::Not": [{"Fn::Equals": [{"Ref": "Dialects"}, ""]}]}),
    "TableProtected": ("TableDeletionProtection", {"Fn::Equals": [{"Ref": "TableDeletionProtection"}, "true"]}),
}
ALARMS = resources("AWS::CloudWatch::Alarm")
NOTHING = {"Ref": "AWS::NoValue"}
OWN_KEY = {"Ref": "KmsKeyArn"}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(name)["Properties"]
    return found


def test_lambda_writes_all_its_own_lines_by_default() -> None:
    parameter = template()["Parameters"]["SystemLogLevel"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("INFO", ["INFO", "WARN"])
    assert template()["Conditions"]["FewSystemLines"] == {"Fn::Equals": [{"Ref": "SystemLogLevel"}, "WARN"]}
    for found in deployed()["Resources"].values():
        if found["Type"] == "AWS::Lambda::Function":
            config = found["Properties"]["LoggingConfig"]
            # At INFO, lines as JSON are longer than lines of text.
            assert config["LogFormat"] == {"Fn::If": ["FewSystemLines", "JSON", "Text"]}
            assert config["SystemLogLevel"] == {"Fn::If": ["FewSystemLines", "WARN", NOTHING]}
            # Lambda would set the root logger to a lower one, and botocore logs what it sends at DEBUG.
            assert "ApplicationLogLevel" not in config


def test_only_the_worker_may_log_the_text_of_exceptions() -> None:
    given = {name for name, found in resources("AWS::Serverless::Function").items() if "LOG_EXCEPTION_TEXT" in str(found)}
    assert given == {"WorkerFunction"}
    assert template()["Parameters"]["LogExceptionText"]["Default"] == "true"


def test_log_levels_are_those_of_python() -> None:
    parameter = template()["Parameters"]["LogLevel"]
    assert parameter["Default"] == "INFO"
    assert set(parameter["AllowedValues"]) < logging.getLevelNamesMapping().keys()


@pytest.mark.parametrize("parameter", OFF)
def test_option_is_off_by_default(parameter: str) -> None:
    assert template()["Parameters"][parameter]["Default"] == OFF[parameter]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_option_is_on_with_its_parameter(condition: str) -> None:
    assert template()["Conditions"][condition] == CONDITIONS[condition][1]
    assert CONDITIONS[condition][0] in OFF


# ── Own KMS key ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["HighQueue", "Queue", "LowQueue", "DeliveryQueue", "DeadLetterQueue", "StreamFailuresQueue"])
def test_queue_is_encrypted_with_one_kind_of_key(name: str) -> None:
    assert properties(name)["SqsManagedSseEnabled"] == {"Fn::If": ["OwnKey", NOTHING, True]}
    assert properties(name)["KmsMasterKeyId"] == {"Fn::If": ["OwnKey", OWN_KEY, NOTHING]}


def test_everything_else_at_rest_uses_the_key() -> None:
    own_or_none = {"Fn::If": ["OwnKey", OWN_KEY, NOTHING]}
    assert properties("Table")["SSESpecification"]["KMSMasterKeyId"] == own_or_none
    (rule,) = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert [choice["SSEAlgorithm"] for choice in rule["ServerSideEncryptionByDefault"]["Fn::If"][1:]] == ["aws:kms", "AES256"]
    assert all(found["Properties"]["KmsKeyId"] == own_or_none for found in resources("AWS::Logs::LogGroup").values())
    assert all(found["Properties"]["KmsKeyArn"] == own_or_none for found in resources("AWS::Serverless::Function").values())


# ── Dialects ───────────────────────────────────────────────────────────────────────────────────────


def test_without_a_dialect_nothing_of_them_is_deployed() -> None:
    named = {name: found for name, found in deployed()["Resources"].items() if "dialects" in name.lower()}
    assert {found["Type"] for found in named.values()} == {
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::IAM::Role",
        "AWS::CloudWatch::Alarm",
    }
    assert {found["Condition"] for found in named.values()} == {"WithDialects", "WithDialectsAlarm"}
    both = template()["Conditions"]["WithDialectsAlarm"]
    assert both == {"Fn::And": [{"Condition": "WithDialects"}, {"Condition": "WithAlarms"}]}
    (path,) = [path for path in deployed()["Resources"]["Api"]["Properties"]["Body"]["paths"].items() if "compat" in path[0]]
    assert (path[1]["Fn::If"][0], path[1]["Fn::If"][2]) == ("WithDialects", NOTHING)


@pytest.mark.parametrize(
    ("names", "is_valid"),
    [("", True), ("daemon", True), ("daemon,acme_2", True), ("daemon,", False), ("a b", False), ("../x", False), ("A", False)],
)
def test_dialects_are_names_separated_by_commas(names: str, is_valid: bool) -> None:
    assert (re.search(template()["Parameters"]["Dialects"]["AllowedPattern"], names) is not None) is is_valid


# ── Administrators ───────────────────────────────────────────────────────────────────────────────────


def test_administrators_api_is_on_by_default_and_off_it_is_not_deployed() -> None:
    assert template()["Parameters"]["AdminApi"]["Default"] == "ON"
    own = {name: found for name, found in deployed()["Resources"].items() if re.match("Admin(Function|Log|Role|Errors)", name)}
    assert {found["Condition"] for found in own.values()} == {"WithAdmin", "WithAdminAlarm"}
    paths = {
        path: found
        for path, found in deployed()["Resources"]["Api"]["Properties"]["Body"]["paths"].items()
        if "/admin/" in path
    }
    assert paths
    assert {(found["Fn::If"][0], str(found["Fn::If"][2])) for found in paths.values()} == {("WithAdmin", str(NOTHING))}


def test_stacks_own_user_pool_has_the_groups() -> None:
    groups = resources("AWS::Cognito::UserPoolGroup")
    places = {name: found["Properties"]["GroupName"]["Fn::Select"][0] for name, found in groups.items()}
    assert places == {"ViewerGroup": 0, "PayloadViewerGroup": 1, "OperatorGroup": 2, "AdminGroup": 3}
    assert {found["Condition"] for found in groups.values()} == {"WithAdminGroups"}
    names = groups["AdminGroup"]["Properties"]["GroupName"]["Fn::Select"][1]["Fn::Split"][1]["Fn::If"][2]
    assert names.split(",") == list(GROUPS)


def test_group_of_another_issuer_counts_only_if_the_deployment_names_it() -> None:
    names = properties("AdminFunction")["Environment"]["Variables"]["ADMIN_GROUPS"]
    assert names["Fn::If"][0] == "OwnUserPool"
    assert names["Fn::If"][2] == {"Ref": "AdminGroups"}
    assert template()["Parameters"]["AdminGroups"]["Default"] == ""


@pytest.mark.parametrize(
    ("names", "is_valid"),
    [("", True), ("a,b,c,d", True), ("a,b,c", False), ("a,b,c,d,e", False), ("a,,c,d", False), ("a b,c,d,e", False)],
)
def test_groups_are_four_names(names: str, is_valid: bool) -> None:
    assert (re.search(template()["Parameters"]["AdminGroups"]["AllowedPattern"], names) is not None) is is_valid


# ── Alarms ─────────────────────────────────────────────────────────────────────────────────────────


def test_expected_alarms_exist() -> None:
    assert set(ALARMS) == {
        "DeadLettersAlarm",
        "HighWaitsAlarm",
        "StandardWaitsAlarm",
        "LowWaitsAlarm",
        "SweeperSilentAlarm",
        "OldestDueAlarm",
        "SweepFailuresAlarm",
        "WorkersLostAlarm",
        "ApiFailsAlarm",
        "RequestsFailedAlarm",
        "SubmitErrorsAlarm",
        "StatusErrorsAlarm",
        "ConsoleErrorsAlarm",
        "DialectsErrorsAlarm",
        "AdminErrorsAlarm",
        "WorkerErrorsAlarm",
        "SweeperErrorsAlarm",
        "StreamErrorsAlarm",
        "SocketErrorsAlarm",
        "StreamFailuresAlarm",
        "ChangesSkippedAlarm",
    }


@pytest.mark.parametrize("name", ALARMS)
def test_alarm_has_a_recipient_and_a_description(name: str) -> None:
    alarm = ALARMS[name]
    conditions = {
        "DialectsErrorsAlarm": "WithDialectsAlarm",
        "AdminErrorsAlarm": "WithAdminAlarm",
        "ConsoleErrorsAlarm": "WithConsoleAlarm",
    }
    assert alarm["Condition"] == conditions.get(name, "WithAlarms")
    assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopicArn"}]
    assert len(alarm["Properties"]["AlarmDescription"]) > 40


def test_missing_data_is_an_alarm_only_for_the_sweeper() -> None:
    silent = {name for name, alarm in ALARMS.items() if alarm["Properties"]["TreatMissingData"] == "breaching"}
    assert silent == {"SweeperSilentAlarm"}
    assert all("TreatMissingData" in alarm["Properties"] for alarm in ALARMS.values())


def test_alarms_on_custom_metrics_name_fields_of_log_lines() -> None:
    metrics = {
        "SweeperSilentAlarm": "oldestDueAgeMs",
        "OldestDueAlarm": "oldestDueAgeMs",
        "SweepFailuresAlarm": "sweepFailures",
        "RequestsFailedAlarm": "RequestsFailed",
        "ChangesSkippedAlarm": "ChangesSkipped",
    }
    for name, metric in metrics.items():
        alarm = properties(name)
        assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, metric)
        assert alarm["Dimensions"] == [{"Name": "application", "Value": {"Ref": "AWS::StackName"}}]
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["APPLICATION"] == {"Ref": "AWS::StackName"}


def test_jobs_that_ended_their_workers_are_counted_together() -> None:
    counted = properties("WorkersLost")
    assert counted["LogGroupName"] == {"Ref": "SweeperLog"}
    assert counted["FilterPattern"] == '{ $.message = "JOB_FAILED" && $.errorCode = "WORKER_LOST" }'
    (metric,) = counted["MetricTransformations"]
    alarm = properties("WorkersLostAlarm")
    out_of_memory = properties("OutOfMemory")
    assert out_of_memory["LogGroupName"] == {"Ref": "WorkerLog"}
    assert out_of_memory["FilterPattern"] == '{ $.message = "JOB_FAILED" && $.errorCode = "OUT_OF_MEMORY" }'
    assert out_of_memory["MetricTransformations"] == [metric]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])


@pytest.mark.parametrize("function", resources("AWS::Serverless::Function"))
def test_errors_of_every_function_are_counted(function: str) -> None:
    alarm = properties(f"{function.removesuffix('Function')}ErrorsAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]
