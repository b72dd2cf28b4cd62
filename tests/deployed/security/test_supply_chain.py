"""The packages that are installed and deployed, and weak code or secrets in ours. `make audit` runs this file alone."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".venv-checks" / "bin"
EXAMPLES = sorted(str(file.relative_to(ROOT).with_suffix("")) for file in ROOT.glob("examples/*/requirements.in"))
LAYERS = ["layers/asyncjobs/requirements", "layers/jobs/requirements", *EXAMPLES]
LOCKS = [*LAYERS, *(f"requirements/{name}" for name in ("checks", "engine", "lambda", "tests", "tools", "uv"))]
"""Each is an .in file, in which people name packages, and a .txt file, which `make lock` makes of it."""
NPM_LOCKS = ["clients/js/package-lock.json", "tools/node/package-lock.json"]
"""The development packages of the JavaScript client, which has no other ones; and Node.js for its tests."""

SCAN = Path(__file__).with_name("scan_secrets.py")
BASELINE = ROOT / ".secrets.baseline"
"""Findings that are not secrets: passwords of the emulator's users, checksums in sample events, a token's use."""


def run(tool: str, *arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    assert (TOOLS / tool).exists(), f"{tool} is not installed: run `make audit`, which installs it."
    return subprocess.run([TOOLS / tool, *arguments], check=False, capture_output=True, text=True, cwd=folder)


# ── Packages ───────────────────────────────────────────────────────────────────────────────────────


def pins(file: Path) -> dict[str, dict[str, int]]:
    """Return each package's versions, more than one if it depends on the platform, with their numbers of hashes."""
    text = re.sub(r"#.*|^-[rc] .*", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, dict[str, int]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        pinned = re.fullmatch(
            r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)(?: ;[^-]*)?((?:\s+--hash=sha256:[0-9a-f]{64})*)", line
        )
        assert pinned, f"{file}: {line} pins no version"
        found.setdefault(pinned[1], {})[pinned[2]] = pinned[3].count("--hash")
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_version_and_hash(lock: str) -> None:
    locked = pins(ROOT / f"{lock}.txt")
    assert [name for name, versions in locked.items() if not all(versions.values())] == []
    named = pins(ROOT / f"{lock}.in")
    assert {name: locked.get(name, {}).keys() for name in named} == {
        name: versions.keys() for name, versions in named.items()
    }, f"{lock}.in has changed since `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_server(lock: str) -> None:
    assert re.findall(r"\S*://\S*|--[a-z-]*(?:index|links)\S*", (ROOT / f"{lock}.txt").read_text()) == []


@pytest.mark.parametrize("lock", [*LAYERS, "requirements/tools"])
def test_tests_run_with_the_same_versions(lock: str) -> None:
    tests = pins(ROOT / "requirements" / "tests.txt")
    assert {name: versions for name, versions in pins(ROOT / f"{lock}.txt").items() if tests.get(name) != versions} == {}


def test_every_lock_is_checked() -> None:
    files = [*ROOT.glob("[el]*/*/requirements*"), *ROOT.glob("requirements*/*"), *ROOT.glob("*requirements*.*")]
    assert sorted(str(file.relative_to(ROOT)) for file in files) == sorted(
        f"{lock}.{kind}" for lock in LOCKS for kind in ("in", "txt")
    )


@pytest.mark.parametrize("lock", NPM_LOCKS)
def test_lock_of_npm_has_a_hash_for_each_package_and_names_no_server(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_javascript_client_has_packages_for_its_development_only() -> None:
    packages = json.loads((ROOT / NPM_LOCKS[0]).read_text())["packages"]
    assert [name for name, package in packages.items() if name and not package.get("dev")] == []


def test_vendored_files_are_pinned_by_hash() -> None:
    folder = ROOT / "console/vendor"
    lines = [line.split("  ") for line in (folder / "SHA256SUMS.txt").read_text().splitlines() if not line.startswith("#")]
    hashes = {file: digest for digest, file in lines}
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    assert hashes == {
        name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in found.items() if name != "SHA256SUMS.txt"
    }


def test_packages_of_the_layers_have_no_known_vulnerability() -> None:
    files = [Path(f"{layer}.txt") for layer in LAYERS]
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
    """Return the service's report for each package; nothing if it is unavailable."""
    requirements = [part for file in files for part in ("--requirement", file)]
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = run("pip-audit", *requirements, "--vulnerability-service", service, *options)
    if not done.stdout.strip():
        return []
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return packages


# ── Our own code ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("folders", "skipped"),
    [
        (["layers", "functions"], ["B311"]),  # jitter needs no secrecy
        (["examples"], ["B101", "B105", "B106", "B404", "B603", "B607"]),  # tests, and the names of secrets
        # Commands are made of what this repository says; the emulator's password is no secret.
        (["local", "tools", "bench"], ["B101", "B404", "B603", "B607", "B105", "B106", "B311"]),
    ],
    ids=["deployed", "examples", "around it"],
)
def test_bandit_finds_nothing(folders: list[str], skipped: list[str]) -> None:
    template = "{relpath}:{line} {test_id} {msg}"
    done = run("bandit", "-q", "-r", *folders, "--skip", ",".join(skipped), "-f", "custom", "--msg-template", template)
    assert (done.returncode, done.stdout) == (0, "")


def test_no_file_holds_a_secret() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("NOT SCANNED: without git, nobody knows which of the files here would be published.")
    listed = subprocess.run(
        [git, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    files = [file for file in listed.stdout.splitlines() if (ROOT / file).is_file() and not _is_lock_file(file)]
    found = _secrets(json.loads(run("python", SCAN, BASELINE, *files).stdout))
    known = _secrets(json.loads(BASELINE.read_text()))
    assert found - known == set(), (
        "If these are not secrets, add them to the baseline: git ls-files -co --exclude-standard"
        r" | grep -v 'requirements.*\.txt$\|package-lock\|^\.secrets' | xargs .venv-checks/bin/detect-secrets scan > .secrets.baseline"
    )


_RANDOM = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=20))
_LETTERS = "".join(random.Random(1).sample(string.ascii_letters, k=40))
_HEX = "".join(random.Random(1).sample("0123456789abcdef", k=16))
SECRETS = {
    "keyword.py": f'PASSWORD = "{_RANDOM}"',
    "keyword.js": f'const apiKey = "{_RANDOM}";',
    "keyword.md": f'Send `{{"clientSecret": "{_RANDOM}"}}`.',
    "keyword.json": f'{{"token": "{_RANDOM}"}}',
    "keyword.yaml": f"database:\n  password: {_RANDOM}",
    "keyword.toml": f'db_pass = "{_RANDOM}"',
    "keyword.sh": f'export AUTH_KEY="{_RANDOM}"',
    "keyword.ini": f"[database]\npassword = {_RANDOM}",
    "short-hex.py": f'SALT = ("{_HEX[:9]}")',
    "hex.yaml": f'salt: "{_HEX}"',
    "short-base64.py": f'SALT = ("{_LETTERS[:23]}")',
    "base64.json": f'{{"salt": "{_LETTERS}"}}',
    "aws.md": f"Use AKIA{_LETTERS[:16].upper()} for it.",
    "github.sh": f"login ghp_{_LETTERS[:36]}",
    "slack.md": f"Use xoxb-{'1' * 12}-{'2' * 12}-{_LETTERS[:24]}.",
    "url.md": f"Open https://user:{_LETTERS[:9]}@db.internal/ first.",
    "jwt.md": f"See eyJhbGciOiJIUzI1NiJ9.{'eyJzdWIiOiIxMjM0In0'}.{_LETTERS}",
    "key.pem": f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{_LETTERS}\n-----END RSA {'PRIVATE'} KEY-----",
    "key.ppk": f"{'PuTTY'}-User-Key-File-2: ssh-rsa\nEncryption: none",
}
"""A file for each way in which a plugin finds a secret."""


def test_scan_finds_every_planted_secret(tmp_path: Path) -> None:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(f"{text}\n")
    settings = json.loads(BASELINE.read_text())
    # To verify a secret is to send it to its service.
    settings["filters_used"] = [used for used in settings["filters_used"] if "verification" not in used["path"]]
    (tmp_path / "baseline").write_text(json.dumps(settings))
    found = _secrets(json.loads(run("python", SCAN, "baseline", *SECRETS, folder=tmp_path).stdout))
    assert {file for file, _, _ in found} == SECRETS.keys()


def _is_lock_file(file: str) -> bool:
    """Return whether the file is full of hashes."""
    return file in {BASELINE.name, *NPM_LOCKS} or file.removesuffix(".txt") in LOCKS


def _secrets(scan: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return the findings without their line numbers, which change."""
    return {
        (file, secret["type"], secret["hashed_secret"])
        for file, secrets in scan["results"].items()
        if not _is_lock_file(file)
        for secret in secrets
    }
