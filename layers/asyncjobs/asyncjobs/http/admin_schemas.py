"""Schemas of administrators' operations: their request bodies and their answers."""

from __future__ import annotations

from typing import Any

from asyncjobs.core.job import MAX_OWNER_LENGTH
from asyncjobs.http.admin_parameters import MOST_AT_A_TIME
from asyncjobs.http.request import JOB_ID
from asyncjobs.http.schemas import BOOLEAN, NOT_EMPTY, STRING, TIME, UUID, Schema, answer_object, described, ref
from asyncjobs.jobtypes.json_schema import nullable, nulls_left_out
from asyncjobs.service.bulk_actions import BulkAction
from asyncjobs.service.dead_letters import LetterOutcome

ADMIN_JOBS_PAGE = Schema(
    "AdminJobsPage",
    answer_object(
        "A page of a list of jobs.",
        {
            "jobs": {"type": "array", "items": ref("AdminJob")},
            "nextCursor": described("The cursor of the next page; null at the end of the list.", nullable(STRING)),
        },
    ),
)
RIGHTS = Schema(
    "AdminRights",
    answer_object(
        "What you may do as an administrator.",
        {
            "groups": described("Your groups, as this API calls them.", {"type": "array", "items": STRING}),
            "rights": {"type": "array", "items": STRING},
        },
    ),
)
JOB_INPUT = Schema("JobInput", answer_object("The input of a job.", {"input": {}}))
AUDIT_PAGE = Schema(
    "AuditPage",
    answer_object(
        "A page of what administrators did.",
        {
            "records": {
                "type": "array",
                "items": answer_object(
                    "An action. It was recorded before it was done, so it may have failed.",
                    {
                        "auditId": UUID,
                        "at": TIME,
                        "actor": described("The `sub` of the administrator's token.", STRING),
                        "action": STRING,
                        "owner": described("The owner of the job that it was about.", nullable(STRING)),
                        "asyncJobId": nullable(UUID),
                        "jobType": nullable(STRING),
                        "filter": described("Which jobs it was about, if not a single one.", nullable({"type": "object"})),
                        "count": described("About how many jobs or messages.", {"type": "integer", "minimum": 0}),
                        "outcomes": described(
                            "At the end of an action on many jobs in the background: how many had each outcome.",
                            nullable({"type": "object", "additionalProperties": {"type": "integer"}}),
                        ),
                        "requestId": STRING,
                    },
                ),
            },
            "nextCursor": described("The cursor of the next page; null at the end of the log.", nullable(STRING)),
        },
    ),
)

_COUNT: Any = {"type": "integer", "minimum": 0}
FAILED_GROUPS = Schema(
    "FailedGroups",
    answer_object(
        "The failed jobs, grouped by type and code.",
        {
            "groups": {
                "type": "array",
                "items": answer_object(
                    "The failed jobs of a type and code.",
                    {
                        "jobType": STRING,
                        "code": described("The code of their error.", STRING),
                        "count": _COUNT,
                        "isMore": described(
                            "Whether there are more than `count`: counting stops at a hundred or earlier.", BOOLEAN
                        ),
                        "newestAt": described("When the newest of them failed.", TIME),
                    },
                ),
            },
            "isMore": described("Whether there are more groups. Those of one type are listed by `jobType`.", BOOLEAN),
        },
    ),
)
_DEPTH = {
    "waiting": described("About how many messages wait for delivery.", _COUNT),
    "delayed": described("About how many are delayed.", _COUNT),
    "inFlight": described("About how many are being worked on.", _COUNT),
}
QUEUES = Schema(
    "Queues",
    answer_object(
        "What the queues hold.",
        {
            "queues": {
                "type": "array",
                "items": answer_object(
                    "A queue.",
                    {
                        "queue": described("A priority, or `deliveries`.", STRING),
                        **_DEPTH,
                        "oldestWaitingSince": described(
                            "Since when the oldest of the first hundred live jobs waits for this queue.", nullable(TIME)
                        ),
                        "isPaused": described("Whether no further job of this priority begins.", BOOLEAN),
                        "pausedTypes": described(
                            "Job types of which no further job of this priority begins.", {"type": "array", "items": STRING}
                        ),
                    },
                ),
            },
            "deadLetters": answer_object("Messages that could not be delivered. Their jobs are in the table.", _DEPTH),
            "sweeper": answer_object(
                "The sweeper.",
                {
                    "lagSeconds": described(
                        "For how long the first job has been due. A minute or two is normal.", {"type": "number"}
                    )
                },
            ),
        },
    ),
)
PAUSED = Schema("PausedPriority", answer_object("Whether a priority is paused.", {"queue": STRING, "isPaused": BOOLEAN}))
PAUSED_TYPE = Schema("PausedType", answer_object("Whether a job type is paused.", {"jobType": STRING, "isPaused": BOOLEAN}))
REDRIVE_REQUEST = Schema(
    "RedriveRequest",
    nulls_left_out(
        {
            "type": "object",
            "description": "What to do with messages that name no job.",
            "additionalProperties": False,
            "properties": {
                "discardMalformed": described(
                    "Delete the messages that are no messages of jobs. By default they stay.", BOOLEAN
                )
            },
        }
    ),
)
REDRIVE_ANSWER = Schema(
    "RedriveAnswer",
    answer_object(
        "What became of some dead letters.",
        {
            "letters": {
                "type": "array",
                "items": answer_object(
                    "A dead letter.",
                    {
                        "asyncJobId": described(
                            "The job that it names, if it names one; in a foreign message, any text.", nullable(STRING)
                        ),
                        "owner": nullable(STRING),
                        "jobType": nullable(STRING),
                        "outcome": described(
                            "`SENT`: the job may run, and has a new message. `SETTLED`: the record of the job leaves nothing to do. "
                            "`MALFORMED`: no message of a job, or one of a later release; it stays. `DISCARDED`: it was malformed, "
                            "and is deleted. `UNREADABLE`: the record cannot be read; it stays.",
                            {"enum": [each.value for each in LetterOutcome]},
                        ),
                    },
                ),
            },
            "isMore": described("Whether there may be more that can be redriven: then repeat the request.", BOOLEAN),
        },
    ),
)
_SECONDS = nullable({"type": "number"})
ADMIN_TYPES = Schema(
    "AdminTypes",
    answer_object(
        "The job types, as administrators read them.",
        {
            "types": {
                "type": "array",
                "items": answer_object(
                    "A job type.",
                    {
                        "jobType": STRING,
                        "description": STRING,
                        "priority": ref("Priority"),
                        "p50Seconds": described("Half of the last jobs took no longer. Null without any.", _SECONDS),
                        "p95Seconds": _SECONDS,
                        "p99Seconds": _SECONDS,
                        "completed": described("Jobs of the last 24 hours.", _COUNT),
                        "failed": _COUNT,
                        "successRate": described("From 0 to 1; null without any job.", _SECONDS),
                        "hours": described(
                            "The last 24 hours, oldest first; the last one is the present hour.",
                            {
                                "type": "array",
                                "items": answer_object("An hour.", {"at": TIME, "completed": _COUNT, "failed": _COUNT}),
                            },
                        ),
                    },
                ),
            },
        },
    ),
)

OWNER_TEXT: Any = {"type": "string", "minLength": 1, "maxLength": MAX_OWNER_LENGTH, "pattern": "^[\\x00-\\x7f]*$"}
BULK_REQUEST = Schema(
    "BulkRequest",
    nulls_left_out(
        {
            "type": "object",
            "description": "The action, and the jobs: exactly one of `failed`, `live` and `jobs`.",
            "additionalProperties": False,
            "required": ["action"],
            "properties": {
                "action": {"enum": [each.value for each in BulkAction]},
                "trial": described("Change nothing, and answer what would become of each job.", BOOLEAN),
                "failed": {
                    "type": "object",
                    "description": "The failed jobs of a type and code.",
                    "additionalProperties": False,
                    "required": ["jobType", "code"],
                    "properties": {"jobType": NOT_EMPTY, "code": NOT_EMPTY, "from": STRING, "to": STRING},
                },
                "live": {
                    "type": "object",
                    "description": "Unfinished jobs.",
                    "additionalProperties": False,
                    "properties": {"priority": STRING, "jobType": NOT_EMPTY, "status": STRING, "owner": OWNER_TEXT},
                },
                "jobs": {
                    "type": "array",
                    "description": "These jobs.",
                    "maxItems": MOST_AT_A_TIME,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["asyncJobId", "owner"],
                        "properties": {
                            "asyncJobId": {"type": "string", "pattern": f"^{JOB_ID.pattern}$"},
                            "owner": OWNER_TEXT,
                        },
                    },
                },
                "cursor": described("The `nextCursor` of the previous part.", STRING),
                "expectedCount": described(
                    "About how many jobs there are, as a trial has counted them. With `Prefer: respond-async`, the progress of the "
                    "action's job follows from it.",
                    {"type": "integer", "minimum": 0, "maximum": 1_000_000_000},
                ),
            },
        }
    ),
)
_OUTCOME = answer_object(
    "What became of a job.",
    {
        "asyncJobId": UUID,
        "owner": STRING,
        "outcome": described(
            "`DONE`, in a trial `ELIGIBLE`, `STOPPED` if the action was cancelled before it came to this job, or the code of the "
            "problem that the action on this job alone has.",
            STRING,
        ),
    },
)
BULK_ANSWER = Schema(
    "BulkAnswer",
    answer_object(
        "What became of the jobs of one part.",
        {
            "outcomes": {
                "type": "array",
                "items": _OUTCOME,
            },
            "nextCursor": described("The cursor of the next part; null at the end.", nullable(STRING)),
        },
    ),
)
BULK_OUTCOMES = Schema(
    "BulkOutcomes",
    answer_object(
        "What became of the jobs of one part of an action in the background.",
        {
            "outcomes": {"type": "array", "items": _OUTCOME},
            "counts": described(
                "How many jobs had each outcome, of this part and all before it.",
                {"type": "object", "additionalProperties": {"type": "integer"}},
            ),
            "nextCursor": described(
                "The cursor of the next part; null at the end of the action, or of what it has done so far.", nullable(STRING)
            ),
        },
    ),
)
