"""A training run from the event log to a judged model: this file reads as the list of its steps.

Called by   services/training/run.py (the service and the `aisle train` command), torchrun
In          an ExampleSource, a TrainingConfig, the question how the serving model does
Out         TrainedModel: the contents of a bundle, its evaluation, the gate's verdict; publishing is publish.py
Periods     train | validation | test, by time. Everything is fitted on train; validation decides when the encoder
            stops and what the fusion weighs; test is looked at once. Then, with `refit`, all events are learned from
Errors      TrainingError: the log holds too little to learn from, the encoder diverges
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.training import copies
from services.training.asking import Asking
from services.training.assemble import Encoder, assemble, facts, in_memory, unweighted
from services.training.collaborative.tables import CollaborativeTables, fit_tables
from services.training.config import TrainingConfig
from services.training.content.fit import fit_content
from services.training.copies import Copy
from services.training.errors import TooLittleDataError
from services.training.evaluation.offline import evaluate
from services.training.examples.encoding import fit_candidate_tables
from services.training.examples.event_log import EventLog
from services.training.examples.queries import QueryMaker, Question, find_questions
from services.training.examples.sequences import Sequences, build_sequences
from services.training.examples.shop import Shop, open_shop
from services.training.examples.source import ExampleSource
from services.training.examples.split import TimeSplit, split_by_time
from services.training.examples.vocabulary import ItemVocabulary, build_vocabulary, extend_vocabulary
from services.training.fusion.examples import collect_examples
from services.training.fusion.fit import fit_fusion
from services.training.gate import Rival, Verdict, judge
from services.training.large_catalogue import with_index
from services.training.multitask.step import FittedPart, Past, fit_multitask, untrained
from services.training.progress import Report, StepProgress, quiet, under
from services.training.sequence.distributed import Team
from services.training.sequence.export import export_encoder
from services.training.sequence.fit import FittedEncoder, Material, fit_encoder, go_on, validation_of
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import sides_of
from shared.models.bundle import BundleContents
from shared.models.encoder_weights import pack
from shared.models.recommender import Recommender
from shared.models.tables import ContentVectors

AskRival = Callable[[QueryMaker, Sequence[Question], TimeSplit], Rival | None]
"""How does the model that serves now do on these questions?"""


@dataclass(frozen=True)
class TrainedModel:
    """What a run made."""

    contents: BundleContents
    evaluation: dict[str, Any]
    verdict: Verdict
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """of the training report, PNG by name"""


@dataclass(frozen=True)
class Period:
    """A log up to a moment, with what is made of it alone."""

    log: EventLog
    vocabulary: ItemVocabulary
    sequences: Sequences
    until_ms: int


@dataclass(frozen=True)
class CountedPeriod:
    """A period and what was counted in it."""

    period: Period
    tables: CollaborativeTables


class Pipeline:
    """One run; every process of a team makes one and calls `run`."""

    def __init__(
        self,
        source: ExampleSource,
        zone: tzinfo,
        config: TrainingConfig,
        ask_rival: AskRival,
        work: Path | None = None,
        team: Team = Team(),  # noqa: B008 - frozen
        report: Report = quiet,
    ) -> None:
        self.source, self.zone, self.config, self.ask_rival = source, zone, config, ask_rival
        self.work, self.team, self.report = work, team, report

    def run(self) -> TrainedModel | None:
        """Return the trained model; None in the processes of a team that only help to train the encoder."""
        shop = self.read()
        split = split_by_time(shop.log, self.config.validation_days, self.config.test_days)
        train = self.period(shop, split.validation_from_ms)
        maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, self.zone)
        content = self.fit_content(shop)
        fitted = self.fit_encoder(shop, train, maker, split, content)
        if not self.team.leads:
            return None
        counted, whole = self.count(shop, train, split)
        contents = self.assemble(shop, counted, fitted.model, content, self.report)
        contents, fusion_report = self.fit_fusion(contents, shop, maker, split)
        ranker = self.fit_multitask(contents, shop, maker, split)
        contents = replace(contents, ranker=ranker.part)
        questions = self.questions(shop, split.test_from_ms, split.end_ms, self.config.test_questions)
        evaluation = self.evaluate(contents, shop, maker, questions)
        verdict = judge(evaluation, self.ask_rival(maker, questions, split), self.config.promotion)
        if whole is not None:
            contents = self.refit(contents, shop, split, whole, fitted.model, content)
        contents = with_index(contents, maker, questions, self.config.cores)
        metrics = self.describe(shop, train, fitted, fusion_report, evaluation) | {"ranker": ranker.report}
        return TrainedModel(with_metrics(contents, metrics), evaluation, verdict, ranker.pictures)

    def read(self) -> Shop:
        """Read and clean the log."""
        progress = StepProgress("read and clean", 1, "log", self.report)
        shop = open_shop(self.source.read())
        progress.finish(f"{len(shop.log):,} events of {shop.log.num_users:,} shoppers")
        return shop

    def period(self, shop: Shop, until_ms: int, known: ItemVocabulary | None = None) -> Period:
        """Cut the log strictly before a moment; with `known`, item codes go on from there."""
        log = shop.log.before(until_ms)
        minimum = self.config.min_item_events
        vocabulary = (
            build_vocabulary(log, shop.catalogue, minimum)
            if known is None
            else extend_vocabulary(known, log, shop.catalogue, minimum)
        )
        return Period(log, vocabulary, build_sequences(log, vocabulary.code_of_row_N), until_ms)

    def questions(self, shop: Shop, from_ms: int, to_ms: int, limit: int) -> list[Question]:
        """Draw the questions of a period."""
        return find_questions(shop.log, from_ms, to_ms, limit, self.config.seed)

    def fit_encoder(
        self, shop: Shop, train: Period, maker: QueryMaker, split: TimeSplit, content: ContentVectors
    ) -> FittedEncoder:
        """Train the sequence Transformer, stopped by the validation period."""
        questions = self.questions(
            shop, split.validation_from_ms, split.test_from_ms, self.config.early_stopping_questions
        )
        config = self.config.sequence
        validation = validation_of(questions, maker, train.vocabulary.code_of_row_N, config.encoder.max_length)
        return fit_encoder(material(shop, train, content), validation, config, self.team, self.work, self.report)

    def count(self, shop: Shop, train: Period, split: TimeSplit) -> tuple[CountedPeriod, CountedPeriod | None]:
        """Count the tables of the training period and, for the refit, of the whole log: at once, where possible."""
        if not self.config.refit:
            return CountedPeriod(train, self.fit_tables(shop, train, self.report)), None
        whole = self.period(shop, split.end_ms, known=train.vocabulary)
        report = under("refit", self.report)
        if self.config.cores < 2 or not copies.POSSIBLE:
            tables, later = (self.fit_tables(shop, *each) for each in ((train, self.report), (whole, report)))
        else:
            with Copy(lambda: [self.fit_tables(shop, whole, quiet)]) as copy:
                tables = self.fit_tables(shop, train, self.report)
                progress = StepProgress("collaborative tables", 1, "log", report)
                later = copy.next()
                progress.finish()
        return CountedPeriod(train, tables), CountedPeriod(whole, later)

    def fit_tables(self, shop: Shop, period: Period, report: Report) -> CollaborativeTables:
        """Count the collaborative tables; with one thread for matrix products, a sum has one order on every machine."""
        row_V, config = period.vocabulary.row_V, self.config
        with threadpool_limits(1, user_api="blas"):
            return fit_tables(
                period.sequences, shop.catalogue, row_V, config.collaborative, config.seed, config.cores, report
            )

    def fit_content(self, shop: Shop) -> ContentVectors:
        """Encode what every item says of itself."""
        config = self.config
        return fit_content(shop.catalogue.items, config.text_encoder, config.content_dim, config.seed, self.report)

    def assemble(
        self,
        shop: Shop,
        counted: CountedPeriod,
        model: SequenceModel,
        content: ContentVectors,
        report: Report,
    ) -> BundleContents:
        """Put the pieces together; the fusion says nothing yet."""
        progress = StepProgress("export and encode", 1, "model", report)
        period, tables = counted.period, counted.tables
        row_V = period.vocabulary.row_V
        item_VD = model.items.all().detach().cpu().numpy()
        encoder = Encoder(export_encoder(model.encoder), pack(model.encoder), item_VD, model.encoder.config.max_length)
        encodings = fit_candidate_tables(period.log, shop.catalogue, row_V, shop.profiles, self.zone, period.until_ms)
        about = facts(self.config.name, period.until_ms - 1, self.config.as_json(), {})
        contents = assemble(about, shop.catalogue, row_V, encoder, tables, content, encodings, unweighted(()))
        names = Recommender(in_memory(contents), shop.catalogue).fusion_names
        progress.finish()
        return replace(contents, fusion=unweighted(names), stranger_fusion=unweighted(names))

    def fit_fusion(
        self, contents: BundleContents, shop: Shop, maker: QueryMaker, split: TimeSplit
    ) -> tuple[BundleContents, dict[str, Any]]:
        """Fit the fusion's weights on the validation period: of shoppers as they were known, and of strangers."""
        config = self.config.fusion
        recommender = Recommender(in_memory(contents), shop.catalogue)
        questions = self.questions(shop, split.validation_from_ms, split.test_from_ms, config.questions)
        examples = collect_examples(recommender, maker.query, questions, self.asking(self.report))
        progress = StepProgress("fusion: weights", 1, "fit", self.report)
        fusion, fit = fit_fusion(examples, config.l2, config.least_gain)
        progress.finish(f"loss {fit.loss:.3f} of {fit.loss_uniform:.3f}")
        asking = self.asking(under("strangers", self.report))
        try:
            examples = collect_examples(recommender, maker.stranger, questions, asking)
        except TooLittleDataError:
            # Nothing popular was ever bought: strangers get the weights that are there.
            return replace(contents, fusion=fusion, stranger_fusion=fusion), {"known": vars(fit)}
        stranger_fusion, stranger_fit = fit_fusion(examples, config.l2, config.least_gain)
        contents = replace(contents, fusion=fusion, stranger_fusion=stranger_fusion)
        return contents, {"known": vars(fit), "stranger": vars(stranger_fit)}

    def fit_multitask(self, contents: BundleContents, shop: Shop, maker: QueryMaker, split: TimeSplit) -> FittedPart:
        """Train the ranker of clicks and purchases on the lists of the validation period, where the log has any."""
        if self.config.multitask is None:
            return untrained("not asked for")
        past = Past(Recommender(in_memory(contents), shop.catalogue), maker, split)
        return fit_multitask(past, self.config.multitask, self.report)

    def evaluate(
        self, contents: BundleContents, shop: Shop, maker: QueryMaker, questions: Sequence[Question]
    ) -> dict[str, Any]:
        """Rank the catalogue for every question of the test period."""
        recommender = Recommender(in_memory(contents), shop.catalogue)
        return evaluate(recommender, maker, questions, self.asking(self.report))

    def asking(self, report: Report) -> Asking:
        """Return how questions are put to a recommender: as in serving, on all cores."""
        return Asking(self.config.fusion.per_source, self.config.cores, report)

    def refit(
        self,
        contents: BundleContents,
        shop: Shop,
        split: TimeSplit,
        whole: CountedPeriod,
        model: SequenceModel,
        content: ContentVectors,
    ) -> BundleContents:
        """Learn from the validation and test periods, too; the fusion keeps its weights."""
        report, learned = under("refit", self.report), material(shop, whole.period, content)
        newest = go_on(model, learned, split.validation_from_ms, self.config.sequence, report)
        refitted = self.assemble(shop, whole, newest, content, report)
        # The kept weights belong to columns in their order; which departments sell best may have changed by now.
        encodings = refitted.encodings | {"departments": contents.encodings["departments"]}
        kept = {name: getattr(contents, name) for name in ("fusion", "stranger_fusion", "ranker")}
        return replace(refitted, encodings=encodings, **kept)

    def describe(
        self,
        shop: Shop,
        train: Period,
        fitted: FittedEncoder,
        fusion: dict[str, Any],
        evaluation: dict[str, Any],
    ) -> dict[str, Any]:
        """Return what the manifest says of the run beside the model."""
        return {
            "events": len(shop.log),
            "shoppers": shop.log.num_users,
            "vocabulary": len(train.vocabulary),
            "cleaning": {rule.rule: rule.rows for rule in shop.cleaning.rules if rule.rows},
            "encoder": {"validation_NDCG@10": round(fitted.validation_ndcg, 6), "epochs": fitted.epochs},
            "fusion": fusion,
            "test": evaluation,
            "refit": self.config.refit,
        }


def material(shop: Shop, period: Period, content: ContentVectors) -> Material:
    """Return what the encoder learns from: a period's events, and what the catalogue says of their items."""
    sides = sides_of(shop.catalogue, period.vocabulary.row_V, content.vector_MD)
    return Material(period.sequences, period.vocabulary, sides)


def with_metrics(contents: BundleContents, metrics: dict[str, Any]) -> BundleContents:
    """Return the contents with the metrics in its manifest."""
    return replace(contents, facts=replace(contents.facts, metrics=metrics))
