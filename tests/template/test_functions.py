"""How the functions load, each in the environment that the template gives it."""

from __future__ import annotations

import subprocess
import sys

from tests.template.source import ROOT, resources, variables

_LOAD = """
import gc, importlib.util, sys

def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

gc.collect()  # so that the next one is due late
before = collections()
spec = importlib.util.spec_from_file_location("app", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(collections() - before, gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count())
"""


def test_no_function_collects_garbage_while_it_loads() -> None:
    names = ("AWS::StackName", "Table", "Bucket", "HighQueue", "Queue", "LowQueue", "DeliveryQueue")
    environment = {
        "PYTHONPATH": f"{ROOT / 'layers/asyncjobs'}:{ROOT / 'layers/jobs'}",
        **variables(dict.fromkeys(names, "x")),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    folders = {function["Properties"]["CodeUri"].strip("/") for function in resources("AWS::Serverless::Function").values()}
    apps = [ROOT / folder / "app.py" for folder in sorted(folders)]
    assert len(apps) >= 9
    for app in apps:
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, str(app)], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.stdout.split() == ["0", "True", "True"], f"{app}: {done.stdout}{done.stderr}"
