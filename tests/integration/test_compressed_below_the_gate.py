"""A compressed model that lost too much is kept with the reason, and never serves."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from services.training.composition import run_place
from services.training.compression.cards import choose
from services.training.compression.compress import card_of, verdict_on
from services.training.compression.quantise import int8_variant
from services.training.examples.queries import QueryMaker, find_questions
from services.training.examples.shop import open_shop as open_log
from services.training.gate import Verdict
from services.training.pipeline import TrainedModel
from services.training.progress import quiet
from services.training.publish import publish
from services.training.run import RunPlace
from shared.models.bundle import BundleContents
from shared.storage.relational.model_registry import get_version
from tests.integration.ranking_support import Shop, open_shop, rank, served_version, serving, until_serves
from tests.integration.training_support import fill_with_tiny_shop
from tests.tiny_bundle import tiny_contents
from tests.tiny_shop import DAY_MS, UNTIL_MS
from tests.unit.ranking.requests import Did, request

POLLS = 2.5
"""of the pointer, in seconds: a promoted version would have been loaded by then"""


@pytest.fixture
def shop(engine: Engine, database_url: str, stream_url: str, tmp_path: Path) -> Shop:
    fill_with_tiny_shop(engine)
    return open_shop(engine, database_url, stream_url, tmp_path)


def spoiled() -> BundleContents:
    """Return an int8 variant whose every item speaks for another one."""
    variant = int8_variant(tiny_contents())
    fusion = replace(variant.fusion, weight_F=-variant.fusion.weight_F)
    return replace(variant, item_VD=np.ascontiguousarray(variant.item_VD[::-1]), fusion=fusion)


def judged(place: RunPlace, variant: BundleContents) -> Verdict:
    """Return the gate's word on a variant of the tiny model, on questions of the shop's own log."""
    log = open_log(place.source.read())
    maker = QueryMaker(log.log, log.catalogue, log.profiles, place.zone)
    questions = find_questions(log.log, UNTIL_MS - 7 * DAY_MS, UNTIL_MS, 200, 0)
    base, _ = card_of("serving", tiny_contents(), maker, questions, quiet)
    card, _ = card_of("int8", variant, maker, questions, quiet)
    return verdict_on(card, base, choose(base, [card]))


async def test_a_compressed_bundle_below_the_gate_is_refused_by_name_and_the_model_before_serves_on(shop: Shop) -> None:
    place, variant = run_place(shop.settings, shop.engine), spoiled()
    first = publish(TrainedModel(tiny_contents(), {}, Verdict(True, ("first",))), place.store, None).version
    async with serving(shop.settings) as app:
        await until_serves(app, first)
        verdict = await asyncio.to_thread(judged, place, variant)
        published = await asyncio.to_thread(publish, TrainedModel(variant, {}, verdict), place.store, first)
        await asyncio.sleep(POLLS)
        assert await served_version(app) == first
        assert (await rank(app, request(Did("wine-fine-0")))).document["model"]["version"] == first
    assert not published.verdict.promoted
    assert "int8 loses" in published.verdict.summary
    with shop.engine.connect() as connection:
        kept = get_version(connection, published.version)
    assert kept is not None
    assert kept.gate["summary"] == published.verdict.summary
