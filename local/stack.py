"""A stack on this machine: an engine of its own with the template deployed on it.

with LocalStack(root=tree, state=tree / ".local") as stack:
    print(stack.deploy().api_url)
"""

import functools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local import process, sources
from local.errors import NotRunningError, StackStuckError
from local.process import REGION, Engine
from local.sam import Sam, Tools, architecture
from local.state import State

FRONT_END = "http://localhost:3000"
"""The origin of a front end on this machine, whose calls of the API are allowed."""
# A script needs no more than a password to sign in, and a token that was printed is valid for a while.
FOR_DEVELOPERS = {
    "DirectSignIn": "PASSWORD",
    "SignInUrls": f"{FRONT_END}/,http://localhost:8976/",  # the latter is the clients' command line
    "AccessTokenMinutes": "60",
    "AllowedOrigins": FRONT_END,
    # Receivers on this machine, and no others.
    "Webhooks": "LOOPBACK",
}
_STACK_NAME = "asyncjobs"
_CANNOT_BE_UPDATED = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}


@dataclass(frozen=True)
class Outputs:
    """The addresses and names of the stack's parts. `stack.json` has the same in camelCase."""

    api_url: str
    console_url: str | None  # None when it is off
    endpoint_url: str
    region: str
    table_name: str
    queue_url: str
    dead_letter_queue_url: str
    bucket_name: str
    user_pool_id: str | None  # None when the stack accepts tokens of another issuer
    user_pool_client_id: str | None
    pid: int
    stack_name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Deployment:
    """All that a build and a deployment depend on."""

    parameters: dict[str, str]
    sources: str


class LocalStack:
    """The template in `root`, built and deployed. `state` is the folder for its records, logs and temporary files.

    Without a `port`, a free one is used. `say` is called with a few words before each step that takes seconds.
    """

    def __init__(
        self,
        root: Path,
        state: Path,
        *,
        port: int | None = None,
        tools: Tools | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.root, self.state = root.resolve(), state.resolve()
        self._records = State(self.state)
        self._port, self._say = port, say
        self._tools = tools or Tools()
        self._sam = Sam(self.root, self.state, self._tools)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def engine(self) -> Engine:
        engine = process.find(self.state)
        if engine is None:
            raise NotRunningError
        return engine

    @property
    def endpoint_url(self) -> str:
        return self.engine.url

    @property
    def outputs(self) -> Outputs:
        """The outputs of the last finished deployment."""
        known = self._records.recall("stack")
        if not known or known["pid"] != self.engine.pid or not self.engine.secret_access_key:
            raise NotRunningError
        values: dict[str, Any] = {name: known.get(_camel(name)) for name in Outputs.__dataclass_fields__}
        return Outputs(**values)

    @property
    def session(self) -> boto3.Session:
        """A session with the running engine's credentials. Its clients need `endpoint_url`."""
        engine = self.engine
        return _session(engine.access_key_id, engine.secret_access_key, threading.get_ident())

    def up(self, parameters: Mapping[str, str] | None = None) -> Outputs:
        """Start the engine and build in parallel, then deploy. Skip the steps that are done already."""
        with self._records.alone():
            running, wanted = self._running(), self._wanted(parameters)
            if running:
                self._build(wanted)
                return self._deploy(running, wanted)
            port = self._free_port()
            with ThreadPoolExecutor() as threads:
                starting = threads.submit(self._start, port)
                self._build(wanted)  # in the main thread, which receives Ctrl-C
            return self._deploy(starting.result(), wanted)

    def start(self, env: Mapping[str, str] | None = None) -> Engine:
        """Return the engine that is running, or start one; `env` reaches a new one and its functions only."""
        with self._records.alone():
            return self._running() or self._start(self._free_port(), env)

    def deploy(self, parameters: Mapping[str, str] | None = None) -> Outputs:
        """Build and deploy the tree as it is now. Skip what is done already."""
        with self._records.alone():
            engine, wanted = self.engine, self._wanted(parameters)
            self._build(wanted)
            return self._deploy(engine, wanted)

    def invoke(self, function: str, event: Path, variables: Mapping[str, str], *, on_aws: bool = False) -> int:
        """Run a function of the build in Docker and return SAM's exit status. It has the engine's credentials, or the user's."""
        with self._records.alone():
            wanted = self._wanted(None)
            self._build(wanted)
        return self._sam.invoke(function, event, variables, wanted.parameters, None if on_aws else self.engine)

    def stop(self) -> bool:
        """Stop the engine. Return False if there was none."""
        return self._records.stop()

    def _running(self) -> Engine | None:
        running = process.find(self.state)
        return running if running and running.secret_access_key and self._port in (None, running.port) else None

    def _free_port(self) -> int:
        port = self._port or process.free_port()
        process.require_free(port)  # before the engine on another port is stopped
        return port

    def _start(self, port: int, env: Mapping[str, str] | None = None) -> Engine:
        self._records.forget("stack", "deployed")
        process.stop(self.state)
        self._say(f"Starting the local engine on port {port}")
        return process.start(
            self.state, python=self._tools.engine_python, lambda_python=self._tools.lambda_python, port=port, extra=env or {}
        )

    def _wanted(self, parameters: Mapping[str, str] | None) -> Deployment:
        """Return what identifies a deployment."""
        known = {"PythonRuntime": self._tools.runtime(), "Architecture": architecture()}
        return Deployment({**known, **FOR_DEVELOPERS, **(parameters or {})}, sources.fingerprint(self.root))

    def _build(self, wanted: Deployment) -> None:
        if self._records.recall("built") == asdict(wanted):
            return
        self._records.forget("built")
        self._say("Building")
        self._sam.build(wanted.parameters)
        self._records.remember("built", asdict(wanted))

    def _deploy(self, engine: Engine, wanted: Deployment) -> Outputs:
        deployed = {"instance": engine.instance, **asdict(wanted)}
        if self._records.recall("deployed") == deployed:
            return self.outputs
        self._records.forget("stack", "deployed")
        self._say("Deploying")
        self._clear_the_way()
        # sam would keep the values of an earlier deployment for parameters that this one does not name.
        self._sam.deploy(_STACK_NAME, engine, {**self._sam.defaults(), **wanted.parameters})
        outputs = self._read_outputs(engine)
        self._records.remember("stack", {_camel(name): value for name, value in asdict(outputs).items()})
        self._records.remember("deployed", deployed)
        return outputs

    def _clear_the_way(self) -> None:
        """Remove a stack that an interrupted or failed deployment left: CloudFormation refuses to update it."""
        cloudformation = self._client("cloudformation")
        deadline = time.monotonic() + 60
        while status := self._stack(cloudformation).get("StackStatus", ""):
            if status in _CANNOT_BE_UPDATED:
                self._say(f"Removing what is left of a failed deployment ({status})")
                cloudformation.delete_stack(StackName=_STACK_NAME)
            elif not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return
            if time.monotonic() > deadline:
                raise StackStuckError(status)
            time.sleep(0.2)

    def _read_outputs(self, engine: Engine) -> Outputs:
        stack = self._stack(self._client("cloudformation"))
        known = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        # The URL of the output has a host name that only browsers resolve to this machine.
        api_path = f"/_aws/execute-api/{known['ApiId']}{urlsplit(known['ApiUrl']).path.rstrip('/')}"
        has_console = "ConsoleUrl" in known
        if has_console and "SignInClientId" in known:
            self._allow_sign_in(known["UserPoolId"], known["SignInClientId"], engine, f"{api_path}/console/sign-in")
        return Outputs(
            api_url=f"{engine.url}{api_path}",
            console_url=f"{engine.url}{api_path}/console/jobs" if has_console else None,
            endpoint_url=engine.url,
            region=REGION,
            table_name=known["TableName"],
            queue_url=known["QueueUrl"],
            dead_letter_queue_url=known["DeadLetterQueueUrl"],
            bucket_name=known["BucketName"],
            user_pool_id=known.get("UserPoolId"),
            user_pool_client_id=known.get("UserPoolClientId"),
            pid=engine.pid,
            stack_name=_STACK_NAME,
            access_key_id=engine.access_key_id,
            secret_access_key=engine.secret_access_key,
        )

    def _allow_sign_in(self, pool_id: str, client_id: str, engine: Engine, path: str) -> None:
        """Let the sign-in page return to the console, whose address is known only now. On AWS, SignInUrls has it."""
        pool = self._client("cognito-idp")
        which = {"UserPoolId": pool_id, "ClientId": client_id}
        client = pool.describe_user_pool_client(**which)["UserPoolClient"]
        own = [f"http://{host}:{engine.port}{path}" for host in ("127.0.0.1", "localhost")]
        urls = {name: [*client.get(name, []), *own] for name in ("CallbackURLs", "LogoutURLs")}
        pool.update_user_pool_client(**which, **urls)  # the engine leaves all other settings as they are, unlike AWS

    def _stack(self, cloudformation: Any) -> dict[str, Any]:
        try:
            stacks: list[dict[str, Any]] = cloudformation.describe_stacks(StackName=_STACK_NAME)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":  # CloudFormation's word for "no such stack"
                return {}
            raise
        return stacks[0] if stacks else {}

    def _client(self, service: Any) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url, config=Config(proxies={}))


@functools.cache
def _session(access_key_id: str, secret_access_key: str, _thread: int) -> boto3.Session:
    """Return one session for each thread, since threads cannot share one. A new one reads the models of AWS's services again."""
    return boto3.Session(access_key_id, secret_access_key, region_name=REGION)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
