"""`make deploy`: the Makefile's command with the real sam, on a small template. The build is left out."""

import os
import subprocess
from pathlib import Path

import pytest

from local.process import PROJECT
from tests.local.conftest import Deployed

pytestmark = pytest.mark.slow

TEMPLATE = """
Parameters:
  PythonRuntime: {{ Type: String }}
  Architecture: {{ Type: String }}
  Origins: {{ Type: String, Default: "" }}
  Level: {{ Type: String, Default: INFO }}
  {more}
Resources:
  Values: {{ Type: AWS::SSM::Parameter, Properties: {{ Type: String, Value: !Sub "${{Origins}} ${{Level}} {used}" }} }}
"""
FIRST = TEMPLATE.format(more="", used="")
SECOND = TEMPLATE.format(more='Limit: { Type: Number, Default: "5" }', used="${Limit}")


class Project:
    """A folder with the project's Makefile and configuration, and a build of the small template."""

    def __init__(self, folder: Path, twin: Deployed, stack_name: str) -> None:
        for name in ("Makefile", "samconfig.toml", "tools", ".venv", ".venv-lambda"):
            (folder / name).symlink_to(PROJECT / name)
        self._build = folder / ".aws-sam" / "build" / "template.yaml"
        self._build.parent.mkdir(parents=True)
        self._folder, self._twin, self._stack_name = folder, twin, stack_name

    def deploy(self, template: str, parameters: str = "") -> dict[str, str]:
        """Deploy and return the parameters of the stack but those of the build."""
        done = self.make(template, parameters)
        assert done.returncode == 0, done.stdout + done.stderr
        stack = self._twin.client("cloudformation").describe_stacks(StackName=self._stack_name)["Stacks"][0]
        found = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
        assert found.pop("PythonRuntime").startswith("python3.")
        assert found.pop("Architecture") == "arm64"
        return found

    def make(self, template: str, parameters: str) -> subprocess.CompletedProcess[str]:
        """Run `make deploy`."""
        self._build.write_text(template)
        (self._folder / "template.yaml").write_text(template)
        shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
        return subprocess.run(
            [
                *("make", "-o", "environments", "-o", "build", "deploy", f"STACK={self._stack_name}", "REGION=us-east-1"),
                *("ARGS=--no-confirm-changeset", f"PARAMETERS={parameters}"),
            ],
            cwd=self._folder,
            env={**shell, **self._twin.engine.environment, "HOME": str(self._folder), "SAM_CLI_POLL_DELAY": "0.1"},
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def project(tmp_path: Path, twin: Deployed, request: pytest.FixtureRequest) -> Project:
    return Project(tmp_path, twin, request.node.name.replace("_", "-"))


def test_second_deployment_keeps_the_parameters_of_the_first(project: Project) -> None:
    given = {"Origins": "https://a.example,https://b.example", "Level": "DEBUG"}
    assert project.deploy(FIRST, " ".join(f"{name}={value}" for name, value in given.items())) == given
    assert project.deploy(SECOND) == {**given, "Limit": "5"}
    assert project.deploy(SECOND, "Limit=7") == {**given, "Limit": "7"}


def test_parameter_can_be_emptied_again(project: Project) -> None:
    assert project.deploy(FIRST, "Origins=*") == {"Origins": "*", "Level": "INFO"}
    assert project.deploy(FIRST, "Origins= Level=ERROR") == {"Origins": "", "Level": "ERROR"}


def test_misspelled_parameter_is_not_left_out_silently(project: Project) -> None:
    done = project.make(FIRST, "Levle=DEBUG")
    assert done.returncode != 0
    assert "The template has no parameter 'Levle'. Is it Level?" in done.stderr
