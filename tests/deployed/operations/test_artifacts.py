"""What `sam build` made, in a process with the packages of Lambda's runtime and the function's own layers, and nothing else."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest
from fpdf.enums import EncryptionMethod

from local.sam import Tools
from local.samples import pdfs
from local.stack import LocalStack
from tests.template import source

FUNCTIONS = sorted(source.resources("AWS::Serverless::Function"))
PREPARE = """
import json, sys
given = json.load(sys.stdin)
sys.path[:0] = given["path"]
"""
IMPORT = f"""{PREPARE}
import app
print(json.dumps(callable(app.handler)))
"""
EXTRACT = f"""{PREPARE}
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import load
from asyncjobs.testing import FakeContext
job_types = [job_type for job_type in Catalog.read() if not job_type.tracked]
loaded = {{job_type.name: load(job_type) for job_type in job_types}}
extract = loaded["document.extract"]
result = extract.function(extract.read_input(json.dumps({{"pdf": given["pdf"]}})), FakeContext())
print(result.getvalue().decode())
"""


def run(stack: LocalStack, function: str, script: str, **given: str) -> Any:
    """Run the script isolated from this project and its environments, as the function's process on Lambda would."""
    layers = [layer["Ref"] for layer in source.resource(function)["Properties"]["Layers"]]
    build = stack.state / "build"
    path = [str(build / function), *(str(build / layer / "python") for layer in layers)]
    done = subprocess.run(
        [Tools().lambda_python, "-I", "-c", script],
        input=json.dumps({"path": path, **given}),
        env={
            **source.variables({"AWS::StackName": "x", **dict.fromkeys(source.template()["Resources"], "x")}),
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_built_function_is_imported_with_its_layers_alone(stack: LocalStack, function: str) -> None:
    assert run(stack, function, IMPORT) is True


@pytest.mark.parametrize("method", [None, EncryptionMethod.RC4, EncryptionMethod.AES_128, EncryptionMethod.AES_256])
def test_built_jobs_are_imported_and_read_documents_with_their_layers_alone(
    stack: LocalStack, method: EncryptionMethod | None
) -> None:
    document = pdfs.encrypted_report(user_password="", method=method) if method else pdfs.report()
    output = run(stack, "WorkerFunction", EXTRACT, pdf=base64.b64encode(document).decode())
    assert (output["pageCount"], output["warnings"]) == (pdfs.REPORT_PAGES, [])
    assert output["pages"][0]["text"].startswith("Why do the work later")
