"""What the training service reads for Prometheus: runs, the serving model and the variety of the last day's lists."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from services.training.metrics import TrainingMetrics
from services.training.observer import Observer
from shared.contracts.times import epoch_ms
from shared.features.catalogue import CatalogueItem
from shared.service.metrics import ServiceMetrics
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.impressions import insert_impressions
from shared.storage.relational.model_registry import ModelVersion, promote, register
from shared.storage.relational.runs import RunState, create_run, update_run
from tests.integration.test_metrics import shown

EVALUATION = {"test": {"rows": [{"source": "fused", "NDCG@10": 0.23, "HR@10": 0.4}, {"source": "svd", "NDCG@10": 0.1}]}}


def test_runs_the_serving_model_and_the_variety_of_lists_are_read_from_postgres(engine: Engine) -> None:
    metrics = ServiceMetrics("training")
    an_hour_ago = epoch_ms(datetime.now(UTC) - timedelta(hours=1))
    with engine.begin() as connection:
        create_run(connection, "good", {})
        update_run(connection, "good", state=RunState.SUCCEEDED)
        register(connection, ModelVersion("v1", "/bundles/v1", manifest={}, metrics=EVALUATION, gate={}))
        assert promote(connection, "v1", None)
        upsert_items(connection, [CatalogueItem(name, categories=(name,)) for name in "ABCD"])
        insert_impressions(connection, [shown("r1", "AB", made_at_ms=an_hour_ago, arms={"mix": "b"})])
    with engine.begin() as connection:
        create_run(connection, "bad", {})
        update_run(connection, "bad", state=RunState.FAILED, error="no data")
    Observer(engine, TrainingMetrics(metrics)).look()

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"aisle_{name}", labels)

    assert (sample("training_runs", state="succeeded"), sample("training_runs", state="failed")) == (1, 1)
    assert sample("training_last_run_failed") == 1
    assert sample("model_quality", metric="NDCG@10", source="fused") == 0.23
    assert sample("model_quality", metric="HR@10", source="svd") is None
    age_s = sample("registry_model_age_seconds")
    assert age_s is not None
    assert 0 <= age_s < 60
    group = {"scenario": "home", "model": "v1", "arm": "mix=b"}
    assert (sample("lists_coverage_ratio", **group), sample("lists_diversity_ratio", **group)) == (0.5, 1.0)
