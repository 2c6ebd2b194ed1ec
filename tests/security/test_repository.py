"""What the repository itself must not hold: ways to run code out of data, secrets, dependencies nobody chose.

`make check` runs this file: it needs neither stores nor the network.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CODE = ("services", "shared", "deploy")
# Modules whose load functions run what the data says.
UNPICKLERS = frozenset(
    {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas.io.pickle"}
)
RUNNERS = frozenset({"eval", "exec", "compile", "__import__"})

# Everything that can open a connection, and who may: to addresses of the settings and of the stack, never of a request.
CLIENTS = frozenset({"urllib.request", "http.client", "aiohttp", "httpx", "requests", "fsspec", "ftplib", "smtplib"})
CONNECTORS = frozenset(
    {
        "deploy/grafana/render.py",
        "deploy/local/stack.py",
        "services/command/api_client.py",
        "services/training/report_store.py",
        "shared/models/bundle_store.py",
        "shared/service/http_client.py",
    }
)

SECRETS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "key of Aisle": r"\baisle_[A-Za-z0-9_-]{43}\b",
    "AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
    "password in a URL": r"\b[a-z][a-z0-9+]*://[^\s:/@{}$'\"<>]*:[^\s/@{}$'\"<>]{8,}@",
}
# Values that tests use to show that they appear nowhere.
KNOWN = ("hunter2", ":password@", "the-password")


def files(pattern: str) -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, check=True).stdout
    return (ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file())


def code_files() -> list[Path]:
    return [path for folder in CODE for path in files(f"{folder}/*.py")]


def findings(source: str) -> list[str]:
    """Return what in a source file may run code that stands in data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom) and node.module in UNPICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _call_findings(node)
    return found


def _call_findings(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    bad = (
        name in RUNNERS
        or (name == "torch.load" and options.get("weights_only") != "True")
        or options.get("allow_pickle") == "True"
        or name.endswith((".read_pickle", "yaml.load", "yaml.unsafe_load"))
        or name == "os.system"
        or options.get("shell") == "True"
        or options.get("weights_only") == "False"
        or options.get("trust_remote_code") == "True"
    )
    return [f"{name}(...)"] if bad else []


def test_no_pickle_and_nothing_like_it_is_read_or_run_anywhere() -> None:
    sources = code_files()
    assert len(sources) > 200
    assert {str(path): found for path in sources if (found := findings(path.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "yaml.load(text)",
    ],
)
def test_the_scan_for_pickles_sees_each_kind(source: str) -> None:
    assert findings(source)


def imported(source: str) -> set[str]:
    """Return the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def test_only_named_files_open_connections() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in code_files()
        if CLIENTS & {name for module in imported(path.read_text()) for name in (module, module.partition(".")[0])}
    }
    assert found == CONNECTORS


def secrets_in(text: str) -> list[str]:
    """Return what looks like a secret, by its kind."""
    return [
        kind
        for kind, pattern in SECRETS.items()
        for found in re.finditer(pattern, text)
        if not any(known in found[0] for known in KNOWN)
    ]


def test_no_secret_stands_in_the_repository() -> None:
    suspects = {}
    for path in files("*"):
        try:
            found = secrets_in(path.read_text())
        except UnicodeDecodeError:
            continue  # a picture
        if found and path != Path(__file__):
            suspects[str(path)] = found
    assert suspects == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "key = 'aisle_" + "aB3" * 14 + "x'",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "postgresql+psycopg2://aisle:" + "c0rrect-horse@db:5432/aisle",
    ],
)
def test_the_scan_for_secrets_sees_each_kind(text: str) -> None:
    assert secrets_in(text)


def test_every_dependency_is_pinned_to_the_version_that_is_installed() -> None:
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    # A local build of torch carries its kind behind the version.
    installed = {name: version(name).partition("+")[0] for name in installed_dependencies()}
    assert len(installed) > 50
    assert {name: found for name, found in installed.items() if pinned.get(name) != found} == {}


def installed_dependencies() -> set[str]:
    """Return whatever Aisle with all its extras needs, and what that needs, as far as it is installed here."""
    known: set[str] = set()
    waiting = [("aisle", extra) for extra in metadata("aisle").get_all("Provides-Extra", [])]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for requirement in map(Requirement, requires(name) or []):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if wanted and _is_installed(requirement.name):
                known.add(canonicalize_name(requirement.name))
                new = {(requirement.name, named) for named in ("", *requirement.extras)} - seen
                seen |= new
                waiting += new
    return known - {"aisle", "setuptools"}


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
