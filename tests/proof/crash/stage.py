"""The deployed stack under test, with the proxy between its functions and the engine, and continuous sweeps."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from websockets.sync.client import ClientConnection, connect

from local import process, users
from local.process import REGION, Engine
from local.stack import LocalStack, Outputs
from tests.proof.crash.history import History
from tests.proof.crash.proxy import Proxy
from tests.support import pace
from tests.support.deployed import TLS

_PAUSE_SECONDS = 2
"""Between two sweeps of one sweeper. What a sweep brings about waits for leases of more seconds, and each sweep takes as much
processor time as ten calls of the API."""
_PATIENT = Config(proxies={}, read_timeout=70, retries={"total_max_attempts": 1})


class Caller:
    """A user of the API. Each answer is returned unchecked, since failures are expected."""

    def __init__(self, outputs: Outputs, token: str, doors: threading.Semaphore) -> None:
        self.owner: str = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"]
        self._doors = doors
        self._http = httpx.Client(
            base_url=f"{outputs.api_url}/api/v1",
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
            verify=TLS,
        )

    def submit(
        self, job_type: str, input: Any, key: str | None, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        named = {} if key is None else {"idempotency-key": key}
        body = {"jobType": job_type, "input": input, **fields}
        return self._ask("POST", "/jobs", json=body, headers={**named, **(headers or {})})

    def cancel(self, job_id: str) -> httpx.Response:
        return self._ask("POST", f"/jobs/{job_id}/cancel")

    def retry(self, job_id: str) -> httpx.Response:
        return self._ask("POST", f"/jobs/{job_id}/retry")

    def delete(self, job_id: str) -> httpx.Response:
        return self._ask("DELETE", f"/jobs/{job_id}")

    def delete_upload(self, key: str) -> httpx.Response:
        return self._ask("DELETE", f"/{key}")

    def report(self, job_id: str, **report: Any) -> httpx.Response:
        return self._ask("PATCH", f"/jobs/{job_id}", json=report)

    def issue_worker_token(self, job_id: str) -> httpx.Response:
        return self._ask("POST", f"/jobs/{job_id}/worker-token")

    def report_as_worker(self, job_id: str, token: str, **report: Any) -> httpx.Response:
        return self._ask("PATCH", f"/jobs/{job_id}/report", json=report, headers={"authorization": f"Bearer {token}"})

    def issue_ticket(self, job_id: str) -> httpx.Response:
        return self._ask("POST", "/tickets", json={"jobs": [job_id]})

    def job_by_ticket(self, job_id: str, ticket: str) -> httpx.Response:
        return self._ask("GET", f"/tickets/jobs/{job_id}", headers={"authorization": f"Bearer {ticket}"})

    def issue_connect_ticket(self) -> httpx.Response:
        """Issue a ticket that opens a connection for all of the owner's jobs."""
        return self._ask("POST", "/tickets", json={"scope": "owner", "use": "connect"})

    @contextmanager
    def connection(self, job_id: str) -> Iterator[ClientConnection]:
        """Open a connection of the WebSocket API for the job."""
        ticket = self._ask("POST", "/tickets", json={"jobs": [job_id], "use": "connect"}).raise_for_status().json()
        with connect(ticket["url"], proxy=None, open_timeout=120) as connection:
            yield connection

    def job(self, job_id: str) -> httpx.Response:
        return self._ask("GET", f"/jobs/{job_id}")

    def events(self, job_id: str) -> httpx.Response:
        return self._ask("GET", f"/jobs/{job_id}/events")

    def jobs(self) -> httpx.Response:
        return self._ask("GET", "/jobs")

    def create_webhook(self, url: str) -> str:
        """Create a webhook that no fault is to hit, and return its secret.

        A function's first call on a busy machine can take longer than it waits for DynamoDB. Then the request is repeated,
        without a webhook that it may have created.
        """
        answer = self._ask("POST", "/webhooks", json={"url": url})
        for _ in range(5):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            for webhook in self._ask("GET", "/webhooks").json().get("webhooks", []):
                if webhook["url"] == url:
                    self._ask("DELETE", f"/webhooks/{webhook['webhookId']}")
            answer = self._ask("POST", "/webhooks", json={"url": url})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        secret: str = answer.json()["secret"]
        return secret

    def deliveries(self) -> httpx.Response:
        return self._ask("GET", "/jobs?jobType=webhook.deliver&limit=100")

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        # Each concurrent request is another function process on this machine.
        with self._doors:
            return self._http.request(method, path, **options)


class Stage:
    """The stack: deployed on entry, stopped on exit."""

    def __init__(
        self,
        tree: Path,
        folder: Path,
        *,
        env: Mapping[str, str],
        concurrency: int = 10,
        requests: int = 6,
        sweepers: int = 1,
        parameters: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        self.folder = folder
        self.starts_log = folder / "starts.log"
        # The engine has the same credentials after a restart, so that clients and links stay valid, as on AWS.
        keys = {"AWS_ACCESS_KEY_ID": "LOCALSTAGE", "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30)}
        self._env = {**env, **keys, "STARTS_LOG": str(self.starts_log), pace.VARIABLE: str(pace.SLOWNESS)}
        self._session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        self.concurrency = concurrency
        self._sweepers = sweepers
        self._parameters = {"StandardConcurrency": str(concurrency), **(parameters or {})}
        self._doors = threading.Semaphore(requests)
        self.pairs = threading.Semaphore(requests // 2)
        """For two requests that must overlap: the second one must not wait for a door."""
        self.batches = threading.Lock()
        """For cells that would share a batch: the fault of one would hit it, and the others would never meet theirs."""
        self._port = process.free_port()
        self._stack = LocalStack(tree, folder / "state", port=self._port)
        proxy_port = process.free_port()
        self.proxy = Proxy(port=proxy_port, upstream=f"http://127.0.0.1:{self._port}", log=folder / "proxy.log", seed=seed)
        self._env["AWS_ENDPOINT_URL"] = self.proxy.url
        self._signing_in = threading.RLock()
        self._callers: dict[str, Caller] = {}
        self._stopping = threading.Event()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.starts_log.touch()
        with self._closing:
            self.start_engine()
            self._closing.callback(self._stack.stop)
            self._closing.enter_context(self.proxy)
            self.outputs = self._stack.deploy(self._parameters)
            self.history = self._closing.enter_context(
                History(self._session, self.outputs.endpoint_url, self.outputs.table_name)
            )
            self._sweeper = self._sweeper_name()
            for _ in range(self._sweepers):
                sweeping = threading.Thread(target=self._sweep_continuously, name="sweeping", daemon=True)
                sweeping.start()
                self._closing.callback(sweeping.join)
            self._closing.callback(self._stopping.set)
            self._closing.callback(self._sign_out)
            self._closing = self._closing.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.close()

    def find_engine(self) -> Engine | None:
        """Return the engine; None during a restart."""
        return process.find(self._stack.state)

    def start_engine(self) -> None:
        """Start the engine again with the same options."""
        self._stack.start(env=self._env)

    def restart_engine(self) -> None:
        """Stop the engine so that it saves its state, and start it again. Its workers end too."""
        os.killpg(self._stack.engine.pid, signal.SIGTERM)
        deadline = time.monotonic() + 60 * pace.SLOWNESS
        while self.find_engine() is not None:
            if time.monotonic() > deadline:
                raise RuntimeError("The engine does not stop.")
            time.sleep(0.05)
        self.start_engine()

    def caller(self, name: str) -> Caller:
        """Sign the user in, once."""
        with self._signing_in:
            if name not in self._callers:
                self._callers[name] = self.sign_in(name)
            return self._callers[name]

    def sign_in(self, name: str) -> Caller:
        """Sign a user in with its own connection and token."""
        with self._signing_in:
            return Caller(self.outputs, users.token(self.outputs, self._session, name), self._doors)

    def client(self, service: Any) -> Any:
        """Return a client that calls the engine directly, not through the proxy."""
        return self._session.client(service, endpoint_url=f"http://127.0.0.1:{self._port}", config=_PATIENT)

    def starts(self) -> list[tuple[str, int]]:
        """Return each recorded start of an attempt: the job's id and the attempt's number."""
        lines = (line.split() for line in self.starts_log.read_text().splitlines())
        return [(fields[0], int(fields[1])) for fields in lines]

    def _sign_out(self) -> None:
        for caller in self._callers.values():
            caller.close()

    def _sweeper_name(self) -> str:
        names: list[str] = [
            function["FunctionName"]
            for page in self.client("lambda").get_paginator("list_functions").paginate()
            for function in page["Functions"]
        ]
        return next(name for name in names if "Sweeper" in name)

    def _sweep_continuously(self) -> None:
        """Sweep continuously instead of every minute. A sweep fails by an injected fault or a restart."""
        client = self.client("lambda")
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                client.invoke(FunctionName=self._sweeper)
            except (BotoCoreError, ClientError):
                self._stopping.wait(0.5)
