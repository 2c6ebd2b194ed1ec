"""Make the serving model smaller: its int8 variant, judged on the shop's own questions beside the model it is made of.

Called by   services/command/compress_command.py
Steps       read the log → load the serving bundle → int8 variant → evaluate both on one set of questions → cost cards →
            the gate's choice → publish; the pointer moves only for a variant that is cheaper and loses little enough
Fair        both were trained on the same log, so that what the model has seen of the questions favours neither
Errors      CompressionError when no model serves; TrainingError of the log; BundleError of a damaged bundle
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.training.asking import Asking
from services.training.assemble import in_memory
from services.training.compression.cards import Choice, CostCard, choose, speed_of
from services.training.compression.quantise import int8_variant
from services.training.config import TrainingConfig
from services.training.errors import TrainingError
from services.training.evaluation.offline import evaluate
from services.training.examples.queries import QueryMaker, Question, find_questions, with_history
from services.training.examples.shop import open_shop
from services.training.examples.split import split_by_time
from services.training.gate import Verdict, score_of
from services.training.large_catalogue import with_index
from services.training.pipeline import TrainedModel
from services.training.progress import Report, quiet
from services.training.publish import Published, publish
from services.training.run import RunPlace
from shared.features.registry import schema_hash
from shared.models.bundle import BundleContents, load_bundle
from shared.models.bundle_store import fetch_bundle
from shared.models.quantised_table import packed_rows
from shared.models.recommender import Recommender
from shared.storage.relational.model_registry import current

TIMED = 300
PER_SOURCE = 100


class CompressionError(TrainingError):
    """There is nothing to compress."""


@dataclass(frozen=True)
class Compressed:
    """What became of it."""

    base: CostCard
    variant: CostCard
    choice: Choice
    published: Published


def compress(place: RunPlace, config: TrainingConfig, report: Report = quiet) -> Compressed:
    """Publish the int8 variant of the serving model, with the gate's verdict."""
    with place.store.engine.connect() as connection:
        serving = current(connection)
    if serving is None:
        raise CompressionError("no model serves: train one first")
    folder = fetch_bundle(place.store.store_url, serving.version, place.work / "bundles")
    contents = load_bundle(folder, schema_hash(), serving.version).contents
    if contents.int8_items:
        raise CompressionError(f"model {serving.version} is compressed already")
    shop = open_shop(place.source.read())
    split = split_by_time(shop.log, config.validation_days, config.test_days)
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, place.zone)
    questions = find_questions(shop.log, split.test_from_ms, split.end_ms, config.test_questions, config.seed)
    variant = with_index(int8_variant(contents), maker, questions, threads=1)
    base_card, _ = card_of("serving", contents, maker, questions, report)
    card, evaluation = card_of("int8", variant, maker, questions, report)
    choice = choose(base_card, [card])
    verdict = verdict_on(card, base_card, choice)
    published = publish(TrainedModel(variant, evaluation, verdict), place.store, serving.version)
    return Compressed(base_card, card, choice, published)


def card_of(
    name: str, contents: BundleContents, maker: QueryMaker, questions: Sequence[Question], report: Report
) -> tuple[CostCard, dict[str, object]]:
    """Return a model's card and its whole evaluation; the time is of all sources together, and of the fusion."""
    recommender = Recommender(in_memory(contents), maker.catalogue)
    evaluation = evaluate(recommender, maker, questions, Asking(PER_SOURCE, report=report), only_main=True)
    queries = [maker.query(question) for question in with_history(questions[:TIMED], maker)]

    def answer(place: int) -> object:
        scored = recommender.start(queries[place])
        return recommender.score(scored, recommender.retrieve(scored, PER_SOURCE))

    item_bytes = packed_rows(contents.item_VD).nbytes if contents.int8_items else contents.item_VD.nbytes
    card = CostCard(
        name,
        size_mb=round((len(contents.encoder) + item_bytes) / 1e6, 3),
        memory_mb=round((len(contents.encoder) + contents.item_VD.nbytes) / 1e6, 3),
        speed=speed_of(answer, len(queries)),
        ndcg_10=score_of(evaluation),
        auc=next((float(row["AUC"]) for row in evaluation["rows"] if row["source"] == "fused"), 0.0),
    )
    return card, evaluation


def verdict_on(card: CostCard, base: CostCard, choice: Choice) -> Verdict:
    """Return whether the variant takes over, in words."""
    kept = f"NDCG@10 is {card.ndcg_10:.4f} of {base.ndcg_10:.4f}"
    cost = f"a request takes {card.speed.cpu_ms:.2f} of {base.speed.cpu_ms:.2f} ms of a core"
    if card.name in choice.refused:
        return Verdict(False, (f"{card.name} {choice.refused[card.name]}",))
    return Verdict(choice.card is card, (kept, cost))
