"""Histories encoded before a request's turn lead to the lists that requests get which encode in their turn."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from fastapi import FastAPI

from services.ranking.admission import Admission
from services.ranking.consumables import Consumables
from services.ranking.encode_ahead import encoded_ahead
from services.ranking.gpu import check_device, gpu_source
from services.ranking.metrics import RankingMetrics
from services.ranking.micro_batcher import MicroBatcher, TooLateError
from services.ranking.model_host import ModelHost
from services.ranking.rank import Ranker
from services.ranking.routes import Ranking, make_router
from services.ranking.serving_model import ServingModel
from shared.features.catalogue import Catalogue
from shared.features.registry import schema_hash
from shared.models.bundle import Bundle, load_bundle, write_bundle
from shared.models.encoder_weights import unpack
from shared.models.gpu.sequence_engine import SequenceEngine
from shared.models.recommender import Recommender
from shared.models.sources.gpu_sequence import GpuSequenceSource
from shared.models.sources.scores import SourceScores
from shared.models.tensors import History
from shared.resilience.deadline import Deadline
from tests.asgi_client import call
from tests.tiny_transformer import with_transformer
from tests.unit.ranking.requests import Did, ids, request


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("transformer") / "bundle"
    write_bundle(with_transformer(), folder)
    return load_bundle(folder, schema_hash())


@pytest.fixture
def batched(bundle: Bundle, catalogue: Catalogue) -> ServingModel:
    """Return the model as on a GPU, with an engine that computes on the CPU."""
    contents = bundle.contents
    engine = SequenceEngine(unpack(contents.weights), contents.item_VD, contents.max_length, "cpu", sizes=(1, 4))
    source = GpuSequenceSource(engine, contents.item_VD)
    recommender = Recommender(bundle, catalogue, source)
    batcher = MicroBatcher(source.scores_of, source.largest)
    return ServingModel(recommender, Consumables(recommender), contents.facts, batcher=batcher)


@pytest.fixture
def plain(bundle: Bundle, catalogue: Catalogue) -> ServingModel:
    recommender = Recommender(bundle, catalogue)
    return ServingModel(recommender, Consumables(recommender), bundle.contents.facts)


SHOPPERS = [request(*(Did(f"{kind}-{n}", 2 + n) for n in range(3))) for kind in ("wine-fine", "lamps-plain")]
STRANGER = request()


async def test_lists_are_those_of_requests_that_encode_in_their_turn(
    ranker: Ranker, batched: ServingModel, plain: ServingModel
) -> None:
    asked = [*SHOPPERS, STRANGER]
    begun = await asyncio.gather(*(encoded_ahead(ranker, batched, one, Deadline.after(5000)) for one in asked))
    for one, ready in zip(asked, begun, strict=True):
        assert ready is not None
        ahead, in_turn = ranker.rank(batched, one, ready), ranker.rank(plain, one)
        assert len(set(ids(ahead)) & set(ids(in_turn))) >= 0.8 * len(ids(in_turn))  # bfloat16 swaps what is close
        scores = [[item.score for item in reply.items] for reply in (ahead, in_turn)]
        np.testing.assert_allclose(*scores, atol=0.05)


async def test_a_request_that_was_not_encoded_ahead_gets_its_list_all_the_same(
    ranker: Ranker, batched: ServingModel
) -> None:
    ready = await encoded_ahead(ranker, batched, SHOPPERS[0], Deadline.after(5000))
    assert ids(ranker.rank(batched, SHOPPERS[0], ready)) == ids(ranker.rank(batched, SHOPPERS[0]))


async def test_without_a_gpu_nothing_is_done_ahead(ranker: Ranker, plain: ServingModel) -> None:
    assert await encoded_ahead(ranker, plain, SHOPPERS[0], Deadline.after(5000)) is None


async def test_a_request_that_is_late_already_is_not_encoded(ranker: Ranker, batched: ServingModel) -> None:
    with pytest.raises(TooLateError):
        await encoded_ahead(ranker, batched, SHOPPERS[0], Deadline.after(0))


async def test_the_route_ranks_what_was_encoded_together(
    ranker: Ranker, batched: ServingModel, metrics: RankingMetrics
) -> None:
    sizes: list[int] = []

    def counted(histories: Sequence[History]) -> list[SourceScores]:
        sizes.append(len(histories))
        return batched.recommender.sequence.scores_of(histories)

    model = replace(batched, batcher=MicroBatcher(counted, 4))
    host = SimpleNamespace(borrow=lambda: nullcontext(model))
    app = FastAPI()
    app.include_router(make_router(Ranking(ranker, cast(ModelHost, host), Admission(metrics), timeout_ms=5000)))
    bodies = [one.model_dump(mode="json", by_alias=True) for one in 3 * SHOPPERS]
    answers = await asyncio.gather(*(call(app, "POST", "/rank", body) for body in bodies))
    assert [answer.status for answer in answers] == [200] * 6
    assert sum(sizes) == 6
    assert max(sizes) > 1


def test_a_bundle_without_weights_answers_on_the_cpu_wherever_it_runs(bundle: Bundle) -> None:
    assert gpu_source(replace(bundle, contents=replace(bundle.contents, weights=b"")), "cuda") is None
    assert gpu_source(bundle, "cpu") is None


def test_a_service_that_shall_use_a_gpu_says_that_there_is_none() -> None:
    import torch

    wrong = check_device("cuda")
    assert (wrong is None) == torch.cuda.is_available()
    assert wrong is None or "finds no GPU" in wrong
    assert check_device("cpu") is None


def test_weights_are_kept_whole_in_the_bundle(bundle: Bundle) -> None:
    assert bundle.contents.weights == with_transformer().weights
