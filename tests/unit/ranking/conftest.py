"""The tiny shop with a loaded model, ready to rank."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.serving_model import BundleLoader, ServingModel
from shared.features.catalogue import Catalogue
from shared.features.registry import schema_hash
from shared.service.metrics import ServiceMetrics
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import tiny_items


@pytest.fixture(scope="session")
def bundle_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle store; tests that break a bundle use a copy."""
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="session")
def tiny_version(bundle_store: Path) -> str:
    """Return the version of a published tiny model."""
    return publish_tiny(bundle_store)


@pytest.fixture
def catalogue() -> Catalogue:
    """Return the tiny shop's catalogue; each test may change its own."""
    return Catalogue(tiny_items())


@pytest.fixture
def model(bundle_store: Path, tiny_version: str, catalogue: Catalogue, tmp_path: Path) -> ServingModel:
    """Return the tiny model, bound to the test's catalogue."""
    return BundleLoader(str(bundle_store), tmp_path / "cache", schema_hash(), lambda: catalogue).load(tiny_version)


@pytest.fixture
def metrics() -> RankingMetrics:
    """Return metrics of their own."""
    return RankingMetrics(ServiceMetrics("ranking"))


@pytest.fixture
def ranker(metrics: RankingMetrics) -> Ranker:
    """Return the use case."""
    return Ranker(ZoneInfo("UTC"), metrics)
