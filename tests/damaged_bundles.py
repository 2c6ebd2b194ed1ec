"""Bundles that must never serve: what a disk, a copy, an attacker or another release can do to one.

Called by   tests/integration/test_ranking_model_swap.py, tests/faults/test_models.py
In          the folder of a whole bundle, which is damaged in place
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shared.features.registry import schema_hash
from shared.models.bundle import ENCODER, ITEM_TABLE, MANIFEST, TABLES, version_of, write_bundle
from shared.models.retrieval_index import build_index
from shared.models.tables import Transitions
from tests.tiny_bundle import tiny_contents

VOCABULARY = "vocabulary.json"


def flip_a_byte(folder: Path) -> None:
    path = folder / TABLES
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / ITEM_TABLE
    path.write_bytes(path.read_bytes()[:-8])


def lose_a_file(folder: Path) -> None:
    (folder / ENCODER).unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def put_a_pickle_beside(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")


class Canary:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def sign_again(folder: Path, name: str) -> None:
    """Let the manifest say that a changed file is right, as whoever made the bundle could."""
    content = (folder / name).read_bytes()
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def reorder_the_vocabulary(folder: Path) -> None:
    """Give every item the number of another, and let the manifest say that this is right."""
    vocabulary = json.loads((folder / VOCABULARY).read_bytes())
    vocabulary["item_ids"].reverse()
    (folder / VOCABULARY).write_text(json.dumps(vocabulary))
    sign_again(folder, VOCABULARY)


def write_one_row_short(folder: Path) -> str:
    """Write a bundle with a table that lacks an item of the vocabulary; return its version."""
    contents = tiny_contents()
    short = Transitions(contents.markov.neighbour_VK[1:], contents.markov.weight_VK[1:], contents.markov.vote_S)
    return write_bundle(replace(contents, markov=short), folder)


DAMAGES: tuple[tuple[Callable[[Path], None], str], ...] = (
    (flip_a_byte, "corrupt"),
    (cut_short, "corrupt"),
    (lose_a_file, "missing"),
    (lose_the_manifest, "missing"),
    (put_a_pickle_beside, "foreign_file"),
)
"""each with the reason of its refusal"""


def of_other_features(store: Path, workshop: Path) -> str:
    """Put a bundle made with other feature definitions into a store; return its version."""
    folder = workshop / "foreign"
    write_bundle(tiny_contents(1), folder)
    manifest = (folder / MANIFEST).read_text().replace(schema_hash(), "0" * 64)
    (folder / MANIFEST).write_text(manifest)
    version = version_of(folder)
    shutil.move(folder, store / version)
    return version


def with_an_index_of_another_table(store: Path, workshop: Path) -> str:
    """Put a bundle into a store whose retrieval index was built for the item table of another model."""
    folder, other_VD = workshop / "indexed", tiny_contents(0).item_VD
    version = write_bundle(replace(tiny_contents(1), index=build_index(other_VD, other_VD[:40])), folder)
    shutil.move(folder, store / version)
    return version
