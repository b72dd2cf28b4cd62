"""What is off until it is asked for: it costs nothing then, and takes nothing away from what each function may do."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs.log import NAMESPACE
from tests.template.source import resource, resources, template

OFF = {
    "AlarmTopicArn": "",
    "KmsKeyArn": "",
    "AccessLogBucket": "",
    "Tracing": "PassThrough",
    "TableDeletionProtection": "false",
    "SubmitRatePerMinute": 0,
    "MaxLiveJobsPerOwner": 0,
    "MaxBacklog": 0,
    "TellQueueDepth": "false",
}
CONDITIONS = {
    "OwnKey": ("KmsKeyArn", {"Fn::Not": [{"Fn::Equals": [{"Ref": "KmsKeyArn"}, ""]}]}),
    "WithAlarms": ("AlarmTopicArn", {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}),
    "WithAccessLog": ("AccessLogBucket", {"Fn::Not": [{"Fn::Equals": [{"Ref": "AccessLogBucket"}, ""]}]}),
    "Traced": ("Tracing", {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]}),
    "WithMaxLiveJobs": ("MaxLiveJobsPerOwner", {"Fn::Not": [{"Fn::Equals": [{"Ref": "MaxLiveJobsPerOwner"}, "0"]}]}),
    "WithMaxBacklog": ("MaxBacklog", {"Fn::Not": [{"Fn::Equals": [{"Ref": "MaxBacklog"}, "0"]}]}),
    "WithQueueDepth": ("TellQueueDepth", {"Fn::Equals": [{"Ref": "TellQueueDepth"}, "true"]}),
    "TableProtected": ("TableDeletionProtection", {"Fn::Equals": [{"Ref": "TableDeletionProtection"}, "true"]}),
}
ALARMS = resources("AWS::CloudWatch::Alarm")
NOTHING = {"Ref": "AWS::NoValue"}
OWN_KEY = {"Ref": "KmsKeyArn"}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(name)["Properties"]
    return found


@pytest.mark.parametrize("parameter", OFF)
def test_an_option_is_off_by_default(parameter: str) -> None:
    assert template()["Parameters"][parameter]["Default"] == OFF[parameter]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_option_is_on_when_its_parameter_says_so(condition: str) -> None:
    assert template()["Conditions"][condition] == CONDITIONS[condition][1]
    assert CONDITIONS[condition][0] in OFF


# ── A key of one's own ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["HighQueue", "Queue", "LowQueue", "DeadLetterQueue"])
def test_a_queue_is_encrypted_with_one_kind_of_key(name: str) -> None:
    assert properties(name)["SqsManagedSseEnabled"] == {"Fn::If": ["OwnKey", NOTHING, True]}
    assert properties(name)["KmsMasterKeyId"] == {"Fn::If": ["OwnKey", OWN_KEY, NOTHING]}


def test_everything_else_at_rest_takes_the_key_too() -> None:
    own_or_none = {"Fn::If": ["OwnKey", OWN_KEY, NOTHING]}
    assert properties("Table")["SSESpecification"]["KMSMasterKeyId"] == own_or_none
    (rule,) = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert [choice["SSEAlgorithm"] for choice in rule["ServerSideEncryptionByDefault"]["Fn::If"][1:]] == ["aws:kms", "AES256"]
    assert all(found["Properties"]["KmsKeyId"] == own_or_none for found in resources("AWS::Logs::LogGroup").values())
    assert all(found["Properties"]["KmsKeyArn"] == own_or_none for found in resources("AWS::Serverless::Function").values())


# ── Permissions that come with options ─────────────────────────────────────────────────────────────


def test_a_policy_beside_the_roles_is_there_only_with_its_option() -> None:
    found = {name: policy["Condition"] for name, policy in resources("AWS::IAM::ManagedPolicy").items()}
    assert found == {
        "KeyPolicy": "OwnKey",
        "TracingPolicy": "Traced",
        "LiveJobsPolicy": "WithMaxLiveJobs",
        "BacklogPolicy": "WithMaxBacklog",
        "QueueDepthPolicy": "WithQueueDepth",
    }
    assert not resources("AWS::IAM::Policy")
    assert not resources("AWS::IAM::RolePolicy")


def test_the_key_may_be_used_and_not_managed() -> None:
    statements = properties("KeyPolicy")["PolicyDocument"]["Statement"]
    assert all(statement["Resource"] == OWN_KEY for statement in statements)
    plain, for_the_table = statements
    assert plain["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert "StringEquals" in for_the_table["Condition"]
    assert not [action for statement in statements for action in statement["Action"] if "*" in action]


def test_only_traces_are_sent_to_what_has_no_name() -> None:
    (statement,) = properties("TracingPolicy")["PolicyDocument"]["Statement"]
    assert statement["Resource"] == "*"
    assert set(statement["Action"]) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


# ── Alarms ─────────────────────────────────────────────────────────────────────────────────────────


def test_there_is_an_alarm_for_each_thing_worth_one() -> None:
    assert set(ALARMS) == {
        "DeadLettersAlarm",
        "HighWaitsAlarm",
        "StandardWaitsAlarm",
        "LowWaitsAlarm",
        "SweeperSilentAlarm",
        "OldestDueAlarm",
        "WorkersLostAlarm",
        "ApiFailsAlarm",
        "SubmitErrorsAlarm",
        "StatusErrorsAlarm",
        "WorkerErrorsAlarm",
        "SweeperErrorsAlarm",
        "LearnerErrorsAlarm",
    }


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_somebody_what_it_is_about(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["Condition"] == "WithAlarms"
    assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopicArn"}]
    assert len(alarm["Properties"]["AlarmDescription"]) > 40


def test_silence_is_alarming_only_of_the_sweeper() -> None:
    silent = {name for name, alarm in ALARMS.items() if alarm["Properties"]["TreatMissingData"] == "breaching"}
    assert silent == {"SweeperSilentAlarm"}
    assert all("TreatMissingData" in alarm["Properties"] for alarm in ALARMS.values())


def test_the_alarms_on_our_own_metrics_name_what_the_log_lines_hold() -> None:
    for name in ("SweeperSilentAlarm", "OldestDueAlarm"):
        alarm = properties(name)
        assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, "oldestDueAgeMs")
        assert alarm["Dimensions"] == [{"Name": "application", "Value": {"Ref": "AWS::StackName"}}]
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["APPLICATION"] == {"Ref": "AWS::StackName"}


def test_lost_workers_are_counted_where_the_sweeper_tells_of_them() -> None:
    counted = properties("WorkersLost")
    assert counted["LogGroupName"] == {"Ref": "SweeperLog"}
    assert counted["FilterPattern"] == '{ $.message = "JOB_FAILED" && $.errorCode = "WORKER_LOST" }'
    (metric,) = counted["MetricTransformations"]
    alarm = properties("WorkersLostAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])


@pytest.mark.parametrize("function", resources("AWS::Serverless::Function"))
def test_errors_of_every_function_are_counted(function: str) -> None:
    alarm = properties(f"{function.removesuffix('Function')}ErrorsAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]
