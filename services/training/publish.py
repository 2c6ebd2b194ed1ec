"""Publish a trained model: files first, registry row second, pointer last; so that nothing is ever half published.

Called by   services/training/run.py
Steps       write the bundle to a work folder → put it into the store under its version, the report's pictures beside it
            → register it with the gate's verdict → if promoted: move the pointer, but only from the version this run
            was compared with → announce
Twice       the version is a hash of the contents: publishing an equal model again finds everything in place
Errors      OSError of the store, sqlalchemy.exc.DBAPIError of the registry. An announcement that fails is no error:
            ranking also polls the pointer
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from services.training.gate import Verdict
from services.training.pipeline import TrainedModel
from services.training.report_store import put_pictures
from shared.models.bundle import MANIFEST, write_bundle
from shared.models.bundle_store import put_bundle
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.relational.engine import Engine
from shared.storage.relational.model_registry import ModelVersion, promote, register

Announce = Callable[[str], None]
"""Tells the services that a version serves now."""


@dataclass(frozen=True)
class Published:
    """What became of a model."""

    version: str
    verdict: Verdict
    announced: bool


@dataclass(frozen=True)
class ModelStore:
    """Where models go."""

    engine: Engine
    store_url: str
    """fsspec URL of the folder of bundles"""
    announce: Announce


def publish(model: TrainedModel, store: ModelStore, expected: str | None) -> Published:
    """Publish; `expected` is the version that served when the model was judged, None if none did."""
    with tempfile.TemporaryDirectory(prefix="aisle-bundle-") as folder:
        bundle = Path(folder) / "bundle"
        version = write_bundle(model.contents, bundle)
        put_bundle(bundle, store.store_url, version)
        put_pictures(store.store_url, version, model.pictures)
        manifest = json.loads((bundle / MANIFEST).read_bytes())
        shutil.rmtree(bundle)
    entry = ModelVersion(
        version=version,
        bundle_url=f"{store.store_url.rstrip('/')}/{version}",
        manifest=manifest,
        metrics=model.contents.facts.metrics,
        gate=model.verdict.as_json(),
    )
    with store.engine.begin() as connection:
        register(connection, entry)
    if not model.verdict.promoted:
        return Published(version, model.verdict, announced=False)
    with store.engine.begin() as connection:
        moved = version == expected or promote(connection, version, expected)
    if not moved:
        lost = "another model was promoted while this one was trained; it was compared with an older one"
        return Published(version, replace(model.verdict, promoted=False, reasons=(lost,)), announced=False)
    return Published(version, model.verdict, announced=_announced(store.announce, version))


def _announced(announce: Announce, version: str) -> bool:
    try:
        announce(version)
    except STORE_ERRORS:
        return False
    return True
