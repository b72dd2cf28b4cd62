"""What is deployed besides our own lines, and what must not be in them. `make audit` runs this alone, with what it skips."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".venv-checks" / "bin"
LAYERS = ["asyncjobs", "jobs"]

BASELINE = ROOT / ".secrets.baseline"
"""What looks like a secret and is none: passwords of the emulator's users, checksums in sample events, a token's use."""


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert (TOOLS / tool).exists(), f"{tool} is not installed: run `make audit`, which installs it."
    return subprocess.run([TOOLS / tool, *arguments], check=False, capture_output=True, text=True, cwd=ROOT)


# ── What is deployed ───────────────────────────────────────────────────────────────────────────────


def pins(file: Path) -> dict[str, tuple[str, int]]:
    """The version of each package, and how many hashes it has."""
    text = re.sub(r"#.*", "", file.read_text()).replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        pinned = re.fullmatch(r"([a-z0-9-]+)==([^\s;]+)(?: ;[^-]*)?((?:\s+--hash=sha256:[0-9a-f]{64})*)", line)
        assert pinned, f"{file}: {line} pins no version"
        found[pinned[1]] = pinned[2], pinned[3].count("--hash")
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_what_a_layer_brings_along_is_pinned_by_version_and_hash(layer: str) -> None:
    locked = pins(ROOT / "layers" / layer / "requirements.txt")
    assert [name for name, (_, hashes) in locked.items() if hashes == 0] == []
    wanted = pins(ROOT / "layers" / layer / "requirements.in")
    versions = {name: version for name, (version, _) in locked.items()}
    assert {name: versions.get(name) for name in wanted} == {name: version for name, (version, _) in wanted.items()}, (
        "requirements.in has changed since `make lock`"
    )


def test_every_layer_is_looked_at() -> None:
    assert sorted(file.parent.name for file in ROOT.glob("layers/*/requirements.txt")) == LAYERS


def test_nothing_is_known_against_the_packages_of_the_layers() -> None:
    files = [Path("layers", layer, "requirements.txt") for layer in LAYERS]
    unknown = {name for file in files for name in pins(ROOT / file)}
    for service in ("pypi", "osv"):
        audited = _audit(files, service)
        weak = {package["name"]: [found["id"] for found in package["vulns"]] for package in audited if package.get("vulns")}
        assert weak == {}, f"{service} knows of weaknesses: {weak}"
        unknown -= {package["name"] for package in audited if "skip_reason" not in package}
        if not unknown:
            return
    pytest.skip(f"NOT AUDITED, since no vulnerability service answered for them: {', '.join(sorted(unknown))}")


def _audit(files: list[Path], service: str) -> list[dict[str, Any]]:
    """What the service says of each package; nothing when it does not answer."""
    requirements = [part for file in files for part in ("--requirement", file)]
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = run("pip-audit", *requirements, "--vulnerability-service", service, *options)
    if not done.stdout.strip():
        return []
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return packages


# ── Our own lines ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("folders", "skipped"),
    [
        (["layers", "functions"], ["B311"]),  # jitter needs no secrecy
        # Commands are made of what this repository says; the emulator's password is no secret.
        (["local", "tools", "bench"], ["B404", "B603", "B105", "B106", "B311"]),
    ],
    ids=["deployed", "around it"],
)
def test_no_line_is_of_a_kind_that_is_known_to_be_weak(folders: list[str], skipped: list[str]) -> None:
    template = "{relpath}:{line} {test_id} {msg}"
    done = run("bandit", "-q", "-r", *folders, "--skip", ",".join(skipped), "-f", "custom", "--msg-template", template)
    assert (done.returncode, done.stdout) == (0, "")


def test_no_secret_is_in_any_file() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("NOT SCANNED: without git, nobody knows which of the files here would be published.")
    listed = subprocess.run(
        [git, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    files = [file for file in listed.stdout.splitlines() if (ROOT / file).is_file() and not _is_lock_file(file)]
    found = _secrets(json.loads(run("detect-secrets", "scan", *files).stdout))
    known = _secrets(json.loads(BASELINE.read_text()))
    assert found - known == set(), (
        "If these are none, have them known:"
        " git ls-files -co --exclude-standard | xargs .venv-checks/bin/detect-secrets scan > .secrets.baseline"
    )


def _is_lock_file(file: str) -> bool:
    """Full of hashes."""
    return file == BASELINE.name or bool(re.fullmatch(r"layers/\w+/requirements\.txt", file))


def _secrets(scan: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Without their lines, since those move."""
    return {
        (file, secret["type"], secret["hashed_secret"])
        for file, secrets in scan["results"].items()
        if not _is_lock_file(file)
        for secret in secrets
    }
