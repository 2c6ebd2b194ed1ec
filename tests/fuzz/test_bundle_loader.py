"""A bundle whose files are changed in any way is refused with its reason, or answers as it did: it never does harm.

Changed and not signed again, it is what a bad disk or a stranger makes of it; signed again, what somebody makes who may
write to the store of bundles.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.features.registry import schema_hash
from shared.models.bundle import JSON_FILES, MANIFEST, TABLES, BundleError, load_bundle, write_bundle
from tests.tiny_bundle import tiny_contents

EXAMPLES = 300 if os.environ.get("FUZZ_SECONDS") else 10
FUZZED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# The encodings are checked by what encodes with them, when a model is made ready to serve.
CHECKED = sorted(set(JSON_FILES) - {"encodings.json"})

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle folder that loads; nobody changes it."""
    folder = tmp_path_factory.mktemp("sound") / "bundle"
    write_bundle(tiny_contents(), folder)
    return folder


@pytest.fixture
def copies(sound: Path, tmp_path: Path) -> "Copies":
    return Copies(sound, tmp_path)


class Copies:
    """Makes copies to break."""

    def __init__(self, sound: Path, folder: Path) -> None:
        self._sound = sound
        self._folder = folder / "copy"

    def fresh(self) -> Path:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._sound, self._folder)
        return self._folder


def sign_again(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def reason(folder: Path) -> str | None:
    """Return why a bundle is refused; any other exception than BundleError is the finding that this file looks for."""
    try:
        load_bundle(folder, schema_hash())
    except BundleError as error:
        return error.reason
    return None


NAMES = st.integers(0, 10_000)


@FUZZED
@given(NAMES, st.integers(0, 10**9), st.integers(1, 255))
def test_any_changed_byte_of_any_file_is_refused(copies: Copies, which: int, place: int, change: int) -> None:
    folder = copies.fresh()
    path = sorted(path for path in folder.iterdir() if path.name != MANIFEST)[which % (len(list(folder.iterdir())) - 1)]
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(bytes(content))
    assert reason(folder) == "corrupt"


@FUZZED
@given(st.binary(max_size=200), st.integers(0, 10**9), st.booleans())
def test_tables_of_any_bytes_with_the_right_hash_are_refused_or_harmless(
    copies: Copies, noise: bytes, place: int, replaces: bool
) -> None:
    folder = copies.fresh()
    content = (folder / TABLES).read_bytes()
    at = place % len(content)
    (folder / TABLES).write_bytes(noise if replaces else content[:at] + noise + content[at + len(noise) :])
    sign_again(folder, TABLES)
    reason(folder)


@FUZZED
@given(st.sampled_from(CHECKED), JSON_VALUES)
def test_any_json_in_place_of_a_file_with_the_right_hash_is_refused_by_name(
    copies: Copies, name: str, value: object
) -> None:
    folder = copies.fresh()
    (folder / name).write_text(json.dumps(value))
    sign_again(folder, name)
    assert reason(folder) is not None


@FUZZED
@given(st.sampled_from(["format", "facts", "files", "vocabulary_hash"]), JSON_VALUES)
def test_any_json_in_a_manifest_is_refused_by_name(copies: Copies, name: str, value: object) -> None:
    folder = copies.fresh()
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({**manifest, name: value}))
    assert reason(folder) is not None
