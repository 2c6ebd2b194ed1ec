"""Why an item is shown or is not: every outcome, parts that sum to the score, sentences in two languages."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.ranking.explain import explain
from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.sentences import CHINESE, WHY
from services.ranking.serving_model import ServingModel
from services.ranking.similar import UnknownItemError
from shared.contracts.explanation import ExplainRankRequest, ExplainReply, Outcome
from shared.contracts.merchandising import Merchandising, Rule
from shared.features.catalogue import Catalogue
from tests.tiny_shop import UNTIL, tiny_items
from tests.unit.ranking.requests import Did, ids, request, score_of

WINE = (Did("wine-fine-0"), Did("wine-fine-1", 5), Did("lamps-plain-0", 6))


class Shop:
    """A ranking service in a nutshell."""

    def __init__(self, metrics: RankingMetrics, model: ServingModel) -> None:
        self.model, self._metrics = model, metrics

    def ranker(self, *rules: Rule, per_source: int = 100) -> Ranker:
        return Ranker(ZoneInfo("UTC"), self._metrics, per_source, lambda: Merchandising(rules=rules, version="v"))

    def explain(self, item_id: str, *rules: Rule, per_source: int = 100, **wishes: Any) -> ExplainReply:
        language = wishes.pop("language", "en")
        asked = request(*WINE, **wishes).model_dump() | {"item_id": item_id, "language": language}
        return explain(self.ranker(*rules, per_source=per_source), self.model, ExplainRankRequest(**asked))

    def list(self, *rules: Rule, **wishes: Any) -> list[str]:
        return ids(self.ranker(*rules).rank(self.model, request(*WINE, **wishes)))


@pytest.fixture
def shop(metrics: RankingMetrics, model: ServingModel) -> Shop:
    return Shop(metrics, model)


def test_shown_item_has_its_place_and_the_reason_of_the_list(shop: Shop) -> None:
    reply = shop.ranker().rank(shop.model, request(*WINE))
    for place, item in enumerate(reply.items, 1):
        found = shop.explain(str(item.item_id))
        assert (found.outcome, found.rank, found.score_rank) == (Outcome.SHOWN, place, place)
        assert found.reasons == item.reasons
        assert found.sentence == item.reasons[0].text
        assert found.sources == item.sources
        assert found.score == pytest.approx(item.score, abs=1e-5)
        assert found.why == f"Shown at place {place}."


@pytest.mark.parametrize("item_id", ["wine-fine-2", "chairs-fine-4", "coffee-plain-0"])
def test_parts_sum_to_the_score(shop: Shop, item_id: str) -> None:
    dear = shop.explain(item_id, context={"budget": {"max": 1}})
    assert sum(part.score for part in dear.parts) == pytest.approx(dear.score, abs=1e-3)
    assert next(part.score for part in dear.parts if part.name == "other") < -1
    found = shop.explain(item_id)
    assert sum(part.score for part in found.parts) == pytest.approx(found.score, abs=1e-3)
    everything = shop.ranker().rank(shop.model, request(*WINE, num_items=60))
    assert found.score == pytest.approx(score_of(everything, item_id), abs=1e-5)
    assert [part.score for part in found.parts] == sorted((part.score for part in found.parts), reverse=True)
    assert len(found.features) <= 10


def test_outranked_item_has_its_place_by_score(shop: Shop) -> None:
    everything = shop.list(num_items=55)
    found = shop.explain(everything[30])
    assert (found.outcome, found.rank, found.score_rank) == (Outcome.OUTRANKED, None, 31)


@pytest.mark.parametrize(
    ("item_id", "wishes", "rule"),
    [
        ("lamps-plain-0", {}, "seen"),
        ("wine-fine-2", {"exclude": ["wine-fine-2"]}, "exclude"),
        ("wine-fine-2", {"context": {"item_id": "wine-fine-2"}}, "current_item"),
        ("wine-fine-2", {"filter": 'category == "lamps"'}, "filter"),
        ("wine-fine-2", {"candidates": ["wine-fine-3"]}, "not_a_candidate"),
    ],
)
def test_removed_item_names_the_rule(shop: Shop, item_id: str, wishes: dict[str, Any], rule: str) -> None:
    found = shop.explain(item_id, **wishes)
    assert (found.outcome, found.removed_by) == (Outcome.REMOVED, rule)
    assert found.why == f"Removed by the rule {rule}."
    assert found.sentence


def test_item_out_of_stock_says_so(shop: Shop, catalogue: Catalogue) -> None:
    item = next(item for item in tiny_items() if item.item_id == "wine-fine-2")
    catalogue.upsert([replace(item, stock=0)])
    assert shop.explain("wine-fine-2").removed_by == "out_of_stock"


def test_hidden_item_names_the_rule_of_the_shop(shop: Shop) -> None:
    hide = Rule(rule_id="no-wine", action="hide", filter='category == "wine"')
    found = shop.explain("wine-fine-2", hide)
    assert (found.outcome, found.removed_by, found.rule_id) == (Outcome.REMOVED, "hidden_by_rule", "no-wine")
    assert "no-wine" in found.why


def test_item_that_variety_left_out_says_so(shop: Shop) -> None:
    lost = next(item for item in shop.list() if item not in shop.list(diversity=0.8))
    assert shop.explain(lost, diversity=0.8).outcome is Outcome.REMOVED_BY_DIVERSITY
    lost = next(item for item in shop.list() if item not in shop.list(novelty=1.0))
    assert shop.explain(lost, novelty=1.0).outcome is Outcome.REMOVED_BY_NOVELTY


def test_item_that_a_pin_or_a_cap_displaced_says_so(shop: Shop) -> None:
    last = shop.list()[-1]
    pin = Rule(rule_id="p", action="pin", items=("chairs-fine-4",))
    assert shop.explain(last, pin).outcome is Outcome.DISPLACED_BY_RULES
    pinned = shop.explain("chairs-fine-4", pin)
    assert (pinned.outcome, pinned.rank, pinned.flags) == (Outcome.SHOWN, 1, ["pinned"])
    assert pinned.score_rank is not None
    assert pinned.score_rank > 10


def test_item_that_no_source_proposed_says_where_it_would_stand(shop: Shop) -> None:
    narrow = shop.ranker(per_source=5)
    offered = narrow.rank(shop.model, request(*WINE, num_items=5))
    missing = next(
        item.item_id for item in reversed(tiny_items())
        if shop.explain(item.item_id, per_source=5, num_items=5).outcome is Outcome.NOT_RETRIEVED
    )  # fmt: skip
    found = shop.explain(missing, per_source=5, num_items=5)
    assert missing not in ids(offered)
    assert found.sources == []
    assert found.score_rank is not None
    assert found.candidates < 60


def test_unknown_item_is_an_error(shop: Shop) -> None:
    with pytest.raises(UnknownItemError):
        shop.explain("no-such-item")


def test_asking_changes_no_list(shop: Shop, catalogue: Catalogue) -> None:
    like = next(item for item in tiny_items() if item.item_id == "lamps-plain-4")
    catalogue.upsert([replace(like, item_id="fresh", created_at=UNTIL)])
    ranker = shop.ranker()
    asked = ExplainRankRequest(**request(*WINE, novelty=0.2).model_dump(), item_id="fresh")
    for _ in range(30):
        assert explain(ranker, shop.model, asked).flags == ["first_showing"]


def test_sentences_are_in_the_language_asked_for(shop: Shop) -> None:
    english, chinese = shop.explain("wine-fine-2"), shop.explain("wine-fine-2", language="zh")
    assert [reason.code for reason in english.reasons] == [reason.code for reason in chinese.reasons]
    assert english.sentence.isascii()
    assert not chinese.sentence.isascii()
    assert not chinese.why.isascii()
    because = [reason for reason in chinese.reasons if reason.because_item_id is not None]
    assert all("no." in reason.text for reason in because)


def test_reasons_of_a_list_follow_the_language_of_the_context(shop: Shop) -> None:
    listed = shop.ranker().rank(shop.model, request(*WINE, context={"language": "zh-CN"}))
    assert all(reason.text in CHINESE.values() or not reason.text.isascii() for reason in listed.items[0].reasons)


def test_every_outcome_has_words_in_both_languages() -> None:
    assert set(WHY) == set(Outcome)
    assert all(set(words) == {"en", "zh"} for words in WHY.values())


def test_request_without_state_is_said_to_be_degraded(shop: Shop) -> None:
    assert shop.explain("wine-fine-2", state=None).degraded_reason == "feature_unavailable"
