"""Show the functions' log lines in a form for people."""

import json
import re
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import boto3
from botocore.config import Config

from local.stack import Outputs
from local.terminal import one_line

_NOISE = ("START RequestId", "END RequestId", "REPORT RequestId")
_NOT_SHOWN_AGAIN = {"timestamp", "level", "message", "application", "_aws"}
_WORD = re.compile(r'[^\s"=]+')
_CONTINUATION = "\n" + " " * 14
"""What a line's further lines begin with, so that no text can look like a line of its own."""


def show(outputs: Outputs, session: boto3.Session, *, follow: bool) -> None:
    """Print the lines, oldest first; with `follow`, also new ones as they come."""
    client = session.client("logs", endpoint_url=outputs.endpoint_url, config=Config(proxies={}))
    shown: Counter[tuple[str, str]] = Counter()  # events, by group and stream
    while True:
        lines = []
        for stream, events in _streams(client).items():
            lines += [readable(stream[0], event["timestamp"], event["message"]) for event in events[shown[stream] :]]
            shown[stream] = len(events)
        for _, line in sorted(filter(None, lines), key=itemgetter(0)):
            print(line, flush=True)
        if not follow:
            return
        time.sleep(1)


def readable(group: str, timestamp: int, message: str) -> tuple[datetime, str] | None:
    """Return the time and the text of a line. None for the lines that Lambda itself writes about each invocation.

    A line may quote anybody's text, which must neither command the terminal nor look like another line or field.
    """
    if message.startswith(_NOISE) or not message.strip():
        return None
    source = group.rsplit("/", 1)[-1].removesuffix("Log").lower()
    try:
        line = json.loads(message)
        moment = datetime.fromisoformat(line["timestamp"])
        rest = " ".join(f"{_value(key)}={_value(value)}" for key, value in line.items() if key not in _NOT_SHOWN_AGAIN)
        text = one_line(f"{line['level']:<7} {line['message']} {rest}".rstrip())
    except (ValueError, KeyError, TypeError):
        moment, lines = datetime.fromtimestamp(timestamp / 1000, UTC), message.rstrip().split("\n")
        text = _CONTINUATION.join(map(one_line, lines))
    return moment, f"{moment.astimezone():%H:%M:%S.%f}"[:12] + f"  {source:<8} {text}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _streams(client: Any) -> dict[tuple[str, str], list[dict[str, Any]]]:
    streams = defaultdict(list)
    for group in client.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName"):
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                streams[group, event["logStreamName"]].append(event)
    return streams
