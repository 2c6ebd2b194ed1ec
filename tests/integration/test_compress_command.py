"""`aisle compress` as people start it: a smaller variant of the serving model, with its card and a verdict."""

from pathlib import Path

from sqlalchemy import Engine

from services.training.gate import Verdict
from services.training.pipeline import TrainedModel
from services.training.publish import ModelStore, publish
from shared.features.registry import schema_hash
from shared.models.bundle import load_bundle
from shared.storage.relational.model_registry import current, get_version
from tests.integration.test_training_command import TRAIN, start
from tests.integration.training_support import fill_with_tiny_shop
from tests.tiny_bundle import tiny_contents

COMPRESS = [*TRAIN[:-1], "compress"]


def test_compress_publishes_the_int8_variant_of_the_serving_model_with_a_verdict(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    fill_with_tiny_shop(engine)
    bundles = tmp_path / "bundles"
    store = ModelStore(engine, str(bundles), announce=lambda version: None)
    before = publish(TrainedModel(tiny_contents(), {}, Verdict(True, ("first",))), store, None)
    done = start(COMPRESS, database_url, stream_url, tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in bundles.iterdir()} - {before.version}
    assert len(made) == 1
    (version,) = made
    variant = load_bundle(bundles / version, schema_hash(), version).contents
    assert variant.int8_items
    assert variant.facts.configuration["compression"] == "int8"
    assert f"Model {version}. " in done.stdout
    assert "cost of a million" in done.stdout
    with engine.connect() as connection:
        serving, registered = current(connection), get_version(connection, version)
    assert registered is not None
    assert serving is not None
    assert (serving.version == version) == registered.gate["promoted"]


def test_compress_says_in_one_line_why_there_is_no_variant(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    done = start(COMPRESS, database_url, stream_url, tmp_path)
    assert done.returncode == 1
    assert "No variant was made. no model serves: train one first" in done.stderr
