"""The model bundle: an immutable folder that holds everything one model version needs to answer.

Called by   services/training/publish.py (write), services/ranking/model_host.py and evaluation (load)
Write       deterministic: the same contents give the same bytes, and the version is a hash of the manifest
Load        manifest → files, size, sha256 → schema hash → vocabulary hash → shapes, finite → golden request
Errors      BundleError, whose `reason` is a Reason and whose text names the file
Never       a pickle: JSON, safetensors, .npy without objects, and ONNX only
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import onnxruntime
import safetensors.numpy

from shared.features.events import FloatArray
from shared.models.fusion import Fusion
from shared.models.golden import first_difference, golden_answers
from shared.models.multitask_scorer import RankerPart
from shared.models.quantised_table import packed_rows, unpacked_rows
from shared.models.retrieval_index import ForeignIndexError, RetrievalIndex, open_index
from shared.models.sources.sequence import open_session
from shared.models.tables import (
    Array,
    ContentVectors,
    ItemNeighbours,
    Popularity,
    SampleHistories,
    SvdFactors,
    Table,
    Transitions,
)

FORMAT = 3
MANIFEST = "manifest.json"
ITEM_TABLE = "item_table.npy"
TABLES = "tables.safetensors"
ENCODER = "encoder.onnx"
GOLDEN = "golden.json"
INDEX = "retrieval_index.faiss"
"""of large catalogues only"""
WEIGHTS = "encoder.safetensors"
"""for GPUs (shared/models/encoder_weights.py)"""
RANKER, RANKER_FIELDS = "ranker.onnx", "ranker.json"
"""of bundles with a multi-task ranker only"""
JSON_FILES = ("vocabulary.json", "encodings.json", "fusion.json", GOLDEN)

# What code meets that trusts the shape of what it reads.
MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError)

Reason = Literal["missing", "manifest", "foreign_file", "corrupt", "schema", "vocabulary", "values", "golden", "index"]


class BundleError(Exception):
    """A bundle that must not serve; the one loaded before stays."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class BundleFacts:
    """What the manifest says of the model beside its files."""

    name: str
    schema_hash: str
    trained_until_ms: int
    git_commit: str
    libraries: dict[str, str]
    configuration: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class BundleContents:
    """A model version in memory. Dimensions as in shared/models/tables.py; D is the encoder's width."""

    facts: BundleFacts
    item_ids: tuple[str, ...]
    """in the order of their codes"""
    categories: tuple[str, ...]
    """top categories, in the order of the rows of `popularity.top_TM` after the first"""
    encoder: bytes
    max_length: int
    item_VD: FloatArray
    item_cf: ItemNeighbours
    co_visitation: ItemNeighbours
    markov: Transitions
    item_knn: Transitions
    item_knn_both: Transitions
    sequential_ease: Transitions
    svd: SvdFactors
    samples: SampleHistories
    popularity: Popularity
    content_ids: tuple[str, ...]
    """items of `content`, also those outside the vocabulary"""
    content: ContentVectors
    encodings: dict[str, Any]
    """shared.features.candidates.CandidateTables, as its to_json wrote them"""
    fusion: Fusion
    stranger_fusion: Fusion
    """the weights for shoppers without a history: most columns say nothing of them, so the others must say more"""
    golden: list[dict[str, Any]] = field(default_factory=list)
    index: RetrievalIndex | None = None
    """None: the catalogue is small enough to score every item"""
    int8_items: bool = False
    """whether the item table is stored as int8; `item_VD` holds what int8 left of it"""
    weights: bytes = b""
    """the encoder as it was trained, for a GPU; empty: it answers on CPUs only"""
    ranker: RankerPart | None = None
    """None where the log shows no list to learn clicks and purchases from"""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to serve."""

    version: str
    contents: BundleContents
    session: onnxruntime.InferenceSession


TABLE_TYPES: dict[str, type[Table]] = {
    "item_cf": ItemNeighbours,
    "co_visitation": ItemNeighbours,
    "markov": Transitions,
    "item_knn": Transitions,
    "item_knn_both": Transitions,
    "sequential_ease": Transitions,
    "svd": SvdFactors,
    "samples": SampleHistories,
    "popularity": Popularity,
    "content": ContentVectors,
}


def write_bundle(contents: BundleContents, folder: Path) -> str:
    """Write the bundle into an empty folder and return its version."""
    folder.mkdir(parents=True, exist_ok=False)
    golden = golden_answers(contents, open_session(contents.encoder))
    vocabulary = {
        "item_ids": contents.item_ids,
        "categories": contents.categories,
        "content_ids": contents.content_ids,
        "max_length": contents.max_length,
    }
    written: tuple[object, ...] = (vocabulary, contents.encodings, _fusions(contents), golden)
    for name, value in zip(JSON_FILES, written, strict=True):
        (folder / name).write_bytes(canonical_json(value))
    (folder / ENCODER).write_bytes(contents.encoder)
    if contents.weights:
        (folder / WEIGHTS).write_bytes(contents.weights)
    if contents.ranker is not None:
        (folder / RANKER).write_bytes(contents.ranker.model)
        (folder / RANKER_FIELDS).write_bytes(canonical_json(contents.ranker.to_json()))
    stored_V = packed_rows(contents.item_VD) if contents.int8_items else np.asarray(contents.item_VD, np.float32)
    np.save(folder / ITEM_TABLE, np.ascontiguousarray(stored_V), allow_pickle=False)
    if contents.index is not None:
        (folder / INDEX).write_bytes(contents.index.to_bytes())
    arrays: dict[str, Array] = {}
    for prefix in TABLE_TYPES:
        arrays |= getattr(contents, prefix).to_arrays(prefix)
    safetensors.numpy.save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, folder / TABLES)
    manifest = {
        "format": FORMAT,
        "facts": asdict(contents.facts),
        "vocabulary_hash": vocabulary_hash(contents.item_ids),
    }
    manifest["files"] = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_bytes(canonical_json(manifest))
    return version_of(folder)


def version_of(folder: Path) -> str:
    """Return the version a bundle folder must be known by: a hash of its manifest, which hashes all else."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]


def vocabulary_hash(item_ids: tuple[str, ...]) -> str:
    """Return the hash of the item vocabulary, in code order."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()


def load_bundle(folder: Path, schema_hash: str, version: str | None = None) -> Bundle:
    """Verify a bundle folder and return it; `version`, when given, is the one the registry promised."""
    try:
        return _verified(folder, schema_hash, version)
    except MALFORMED as error:
        # Files that their hashes call right and that do not fit together, whoever made them.
        raise BundleError("corrupt", f"not a bundle: {type(error).__name__}") from error


def _verified(folder: Path, schema_hash: str, version: str | None) -> Bundle:
    manifest = _read_manifest(folder)
    found = version_of(folder)
    if version is not None and found != version:
        raise BundleError("manifest", f"{MANIFEST} is of version {found}, not {version}")
    _check_files(folder, manifest["files"])
    if manifest["facts"]["schema_hash"] != schema_hash:
        raise BundleError("schema", "the bundle was made with other feature definitions")
    contents = _read_contents(folder, BundleFacts(**manifest["facts"]))
    if vocabulary_hash(contents.item_ids) != manifest["vocabulary_hash"]:
        raise BundleError("vocabulary", "vocabulary.json is not the one the manifest names")
    _check_values(contents)
    session = _open(contents.encoder, ENCODER)
    differs = first_difference(contents.golden, golden_answers(contents, session))
    if differs is not None:
        raise BundleError("golden", f"{GOLDEN}: {differs} does not answer as it did when the model was made")
    return Bundle(found, contents, session)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise BundleError("missing", f"{folder.name} has no {MANIFEST}") from None
    except ValueError:
        raise BundleError("manifest", f"{MANIFEST} is not JSON") from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise BundleError("manifest", f"{MANIFEST} is of format {found}, not {FORMAT}: train a model anew")
    missing = {"facts", "files", "vocabulary_hash"} - manifest.keys()
    if missing:
        raise BundleError("manifest", f"{MANIFEST} lacks {sorted(missing)}")
    return cast(dict[str, Any], manifest)


def _check_files(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    expected = {*JSON_FILES, ENCODER, ITEM_TABLE, TABLES} | ({INDEX, WEIGHTS} & files.keys())
    if RANKER in files:
        expected |= {RANKER, RANKER_FIELDS}
    if files.keys() != expected:
        raise BundleError("manifest", f"{MANIFEST} names other files than a bundle has")
    foreign = {path.name for path in folder.iterdir()} - expected - {MANIFEST}
    if foreign:
        raise BundleError("foreign_file", f"not part of a bundle: {sorted(foreign)}")
    for name, stored in files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError("missing", f"{name} is missing")
        if _fingerprint(path) != stored:
            raise BundleError("corrupt", f"{name} is not what the manifest says")


def _read_contents(folder: Path, facts: BundleFacts) -> BundleContents:
    try:
        vocabulary, encodings, fusion, golden = (json.loads((folder / name).read_bytes()) for name in JSON_FILES)
        arrays = safetensors.numpy.load_file(folder / TABLES)
        tables: dict[str, Any] = {prefix: kind.from_arrays(prefix, arrays) for prefix, kind in TABLE_TYPES.items()}
        stored_V = np.load(folder / ITEM_TABLE, mmap_mode="r", allow_pickle=False)
        int8_items = stored_V.dtype == np.int8
        item_VD = unpacked_rows(stored_V) if int8_items else stored_V
        return BundleContents(
            facts=facts,
            item_ids=tuple(vocabulary["item_ids"]),
            categories=tuple(vocabulary["categories"]),
            content_ids=tuple(vocabulary["content_ids"]),
            max_length=int(vocabulary["max_length"]),
            encoder=(folder / ENCODER).read_bytes(),
            weights=(folder / WEIGHTS).read_bytes() if (folder / WEIGHTS).exists() else b"",
            item_VD=item_VD,
            int8_items=int8_items,
            index=_read_index(folder, item_VD),
            encodings=encodings,
            fusion=Fusion.from_json(fusion["known"]),
            stranger_fusion=Fusion.from_json(fusion["stranger"]),
            golden=golden,
            ranker=_read_ranker(folder),
            **tables,
        )
    except (ValueError, KeyError, safetensors.SafetensorError) as error:
        raise BundleError("corrupt", f"unreadable bundle file: {error}") from error


def _read_ranker(folder: Path) -> RankerPart | None:
    """Return the ranker, if the bundle has one; KeyError or ValueError when it is none."""
    if not (folder / RANKER).exists():
        return None
    _open(model := (folder / RANKER).read_bytes(), RANKER)
    return RankerPart.from_parts(model, json.loads((folder / RANKER_FIELDS).read_bytes()))


def _read_index(folder: Path, item_VD: FloatArray) -> RetrievalIndex | None:
    if not (folder / INDEX).exists():
        return None
    try:
        return open_index((folder / INDEX).read_bytes(), item_VD)
    except ForeignIndexError as error:
        raise BundleError("index", f"{INDEX}: {error}") from None


def _check_values(contents: BundleContents) -> None:
    items = len(contents.item_ids)
    lengths = {
        "item table": len(contents.item_VD),
        "SVD": len(contents.svd.factor_VF),
        "popularity": len(contents.popularity.weight_V),
        "postings": len(contents.samples.posting_start_V1) - 1,
    }
    neighbours = {
        name: getattr(contents, name) for name, kind in TABLE_TYPES.items() if issubclass(kind, ItemNeighbours)
    }
    lengths |= {name: len(table.neighbour_VK) for name, table in neighbours.items()}
    for name, length in lengths.items():
        if length != items:
            raise BundleError("vocabulary", f"{name} has {length} rows for {items} items")
    for prefix in TABLE_TYPES:
        for name, array in getattr(contents, prefix).to_arrays(prefix).items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BundleError("values", f"{TABLES}: {name} is not finite")
    if not np.isfinite(contents.item_VD).all():
        raise BundleError("values", f"{ITEM_TABLE} is not finite")
    if not all(np.isfinite(fusion.weight_F).all() for fusion in (contents.fusion, contents.stranger_fusion)):
        raise BundleError("values", "fusion.json is not finite")


def _fusions(contents: BundleContents) -> dict[str, object]:
    return {"known": contents.fusion.to_json(), "stranger": contents.stranger_fusion.to_json()}


def _open(model: bytes, name: str) -> onnxruntime.InferenceSession:
    try:
        return open_session(model)
    # ONNX Runtime raises its own exception types, one per status code, with no common base but Exception.
    except Exception as error:
        raise BundleError("corrupt", f"{name} cannot be opened: {error}") from error


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size": path.stat().st_size}


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
