"""Run `sam build` and `sam deploy` as for AWS, but quietly and with the local engine's address and credentials."""

import json
import os
import platform
import shlex
import signal
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError, SamFailedError
from local.process import LOOPBACK, PROJECT, REGION, Engine, last_lines


@dataclass(frozen=True)
class Tools:
    """The programs of the project's virtual environments, see tools/environments.py."""

    sam: Path = PROJECT / ".venv" / "bin" / "sam"
    engine_python: Path = PROJECT / ".venv-aws" / "bin" / "python"
    lambda_python: Path = PROJECT / ".venv-lambda" / "bin" / "python"
    """The functions run on it."""

    def runtime(self) -> str:
        """Return Lambda's name for the functions' Python."""
        script = "import sys; print('python%d.%d' % sys.version_info[:2])"
        return subprocess.run([self.lambda_python, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Sam:
    """The SAM CLI for the tree at `root`. It writes to `state`."""

    root: Path
    state: Path
    tools: Tools

    def build(self, parameters: Mapping[str, str]) -> None:
        """Run `sam build`."""
        self._run("build", "--template-file", "template.yaml", "--build-dir", str(self.state / "build"), "--parallel",
                  *_overrides(parameters))  # fmt: skip
        self._prepare_deployments()

    def deploy(self, stack_name: str, engine: Engine, parameters: Mapping[str, str]) -> None:
        """Run `sam deploy`."""
        self._run("deploy", "--template-file", str(self._built), "--use-json", "--stack-name", stack_name, "--resolve-s3",
                  "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar",
                  "--no-fail-on-empty-changeset", *_overrides(parameters), engine=engine)  # fmt: skip

    def defaults(self) -> dict[str, str]:
        """Return the parameters of the built template with their defaults."""
        parameters = json.loads(self._built.read_text()).get("Parameters", {})
        return {name: str(each["Default"]) for name, each in parameters.items() if "Default" in each}

    def invoke(
        self, function: str, event: Path, variables: Mapping[str, str], parameters: Mapping[str, str], engine: Engine | None
    ) -> int:
        """Run `sam local invoke` on the terminal and return its exit status. Without an engine it has the user's AWS settings."""
        file = self.state / "invoke.json"
        file.write_text(json.dumps({function: dict(variables)}))
        config = self.state / "samconfig.toml"
        config.touch()
        command = [
            str(self.tools.sam), "local", "invoke", function, "--event", str(event), "--env-vars", str(file),
            "--template-file", str(self.state / "build" / "template.yaml"), "--config-file", str(config),
            *_overrides(parameters),
            *(["--skip-pull-image"] if _has_image(parameters) else []),  # SAM queries the registry on every call
        ]  # fmt: skip
        environment = self._environment(engine) if engine else {**os.environ, "SAM_CLI_TELEMETRY": "0"}
        return subprocess.run(command, cwd=self.root, env=environment, check=False).returncode

    @property
    def _built(self) -> Path:
        """The built template for deployments, as `_prepare_deployments` writes it."""
        return self.state / "build" / "template.json"

    def _prepare_deployments(self) -> None:
        """Write the built template as JSON, with packed layers: half the work of `sam deploy` is to parse YAML and to pack.

        It parses the template seven times, JSON 30 times as quickly. It packs at each deployment, to send little over a network.
        """
        from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]  # noqa: PLC0415 - slow; it ships no types

        template = yaml_parse(self._built.with_suffix(".yaml").read_text())
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::LayerVersion":
                layer = self._built.parent / resource["Properties"]["ContentUri"]
                resource["Properties"]["ContentUri"] = _pack(layer).name
        self._built.write_text(json.dumps(template))

    def _run(self, command: str, *options: str, engine: Engine | None = None) -> None:
        # The project's samconfig.toml is for AWS: its buckets, profiles and stages do not exist here.
        config = self.state / "samconfig.toml"
        config.touch()
        self._claim_to_be_current()
        log = self.state / f"sam-{command}.log"
        with log.open("w") as output:
            sam = subprocess.Popen(
                [str(self.tools.sam), command, "--config-file", str(config), *options],
                cwd=self.root,
                env=self._environment(engine),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = sam.wait()
            except BaseException:  # sam starts pip, which would go on alone
                os.killpg(sam.pid, signal.SIGTERM)
                sam.wait()
                raise
        if status != 0:
            raise SamFailedError(command, log, last_lines(log))

    def _claim_to_be_current(self) -> None:
        """Keep sam from looking for a newer version of itself, which takes up to 5 s without a network."""
        metadata = self.state / "sam" / "metadata.json"
        metadata.parent.mkdir(exist_ok=True)
        metadata.write_text(json.dumps({"lastVersionCheck": time.time(), "telemetryEnabled": False}))

    def _environment(self, engine: Engine | None) -> dict[str, str]:
        """Return the environment of the user's shell, for its mirrors and proxies, without its AWS settings."""
        shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "PYTHON", "MAKE"))}
        no_config = str(self.state / "no-aws-config")
        return {
            **shell,
            **(engine.environment if engine else {}),
            # sam finds the runtime's interpreter on the PATH.
            "PATH": f"{self.tools.lambda_python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "BUILD_LAYER": shlex.join(["env", f"PYTHONPATH={PROJECT}", str(self.tools.lambda_python), "-m", "tools.layer"]),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": no_config,
            "AWS_SHARED_CREDENTIALS_FILE": no_config,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": ",".join(filter(None, [LOOPBACK, shell.get("NO_PROXY")])),
            "SAM_CLI_POLL_DELAY": "0.1",  # no rate limit to respect here: halves the time
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(self.state / "sam"),
        }


def _pack(folder: Path) -> Path:
    """Pack a folder quickly, without the dates of its files, so that the same files are the same archive."""
    packed = folder.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            entry.external_attr = file.stat().st_mode << 16  # as sam keeps it
            archive.writestr(entry, file.read_bytes(), archive.compression, archive.compresslevel)
    return packed


def architecture() -> str:
    """Return Lambda's name for this machine's processor: the packages of the layers must run on it."""
    machine = platform.machine().lower()
    if machine in {"x86_64", "amd64"}:
        return "x86_64"
    if machine in {"arm64", "aarch64"}:
        return "arm64"
    raise LocalError(f"Lambda has no processor like this machine's ({machine}), so the functions cannot run here.")


def _has_image(parameters: Mapping[str, str]) -> bool:
    """Return whether Docker has the image of the functions' runtime, which the first call downloads."""
    image = runtime_image(parameters["PythonRuntime"], parameters["Architecture"])
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def runtime_image(runtime: str, architecture: str) -> str:
    """Return the name of the image in which SAM runs a function."""
    return f"public.ecr.aws/lambda/python:{runtime.removeprefix('python')}-{architecture}"


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    empty = '""'  # sam takes an empty value only in quotes
    return [
        "--parameter-overrides",
        *(f"ParameterKey={key},ParameterValue={value or empty}" for key, value in parameters.items()),
    ]
