"""What a shopper or a shop is told, in the language that was asked for; English is the language of reasons.py.

Called by   services/ranking/rank.py (reasons of a list), services/ranking/explain.py
In          a Reason with English text; the item it is for
Out         the same Reason with its text in Chinese; any other language: as it was
Unknown     a code without a Chinese text keeps its English one
"""

from shared.contracts.explanation import Language, Outcome
from shared.contracts.recommendation import Context, Reason
from shared.features.catalogue import Catalogue

MAX_TITLE = 80

CHINESE = {
    "because_you_bought": "因为您购买过“{because}”",
    "goes_with_cart": "与您购物车中的“{because}”相配",
    "because_you_wished": "因为“{because}”在您的心愿单中",
    "because_you_viewed": "因为您浏览过“{because}”",
    "bought_together": "常与“{because}”一起购买",
    "similar_shoppers": "购物习惯与您相似的顾客也买了它",
    "buy_again": "您以前买过这件商品",
    "seen_lately": "您最近看过这件商品",
    "similar_taste": "符合您的喜好",
    "popular": "当前热销",
    "new": "“{leaf}”新品",
    "favourite_category": "来自您喜爱的品类“{top}”",
    "favourite_brand": "来自您喜爱的品牌“{brand}”",
    "same_category": "更多“{leaf}”商品",
    "in_category": "来自“{leaf}”",
    "in_catalogue": "本店精选",
    "timely": "人们常在这个时段购买",
    "popular_nearby": "在您附近很受欢迎",
    "shoppers_like_you": "受到与您相似的顾客欢迎",
}
NEW_WITHOUT_CATEGORY = "新品上架"

WHY: dict[Outcome, dict[Language, str]] = {
    Outcome.SHOWN: {"en": "Shown at place {rank}.", "zh": "展示在第 {rank} 位。"},
    Outcome.OUTRANKED: {
        "en": "Ranked {score_rank} of {candidates}: others fit better.",
        "zh": "在 {candidates} 个候选商品中排第 {score_rank} 位：其他商品更合适。",
    },
    Outcome.REMOVED: {"en": "Removed by the rule {rule}.", "zh": "被规则 {rule} 移除。"},
    Outcome.NOT_RETRIEVED: {
        "en": "No source proposed it for this shopper; by its score it would have been {score_rank} of {candidates}.",
        "zh": "没有召回来源为该顾客推荐它；按得分它会在 {candidates} 个候选商品中排第 {score_rank} 位。",
    },
    Outcome.REMOVED_BY_DIVERSITY: {
        "en": "Ranked {score_rank} by score, then left out because the list already holds items like it.",
        "zh": "按得分排第 {score_rank} 位，但列表中已有相似商品，因多样性而未展示。",
    },
    Outcome.REMOVED_BY_NOVELTY: {
        "en": "Ranked {score_rank} by score, then left out in favour of items that are newer to the shopper.",
        "zh": "按得分排第 {score_rank} 位，但让位给了对顾客更新颖的商品。",
    },
    Outcome.DISPLACED_BY_RULES: {
        "en": "Ranked {score_rank} by score, then displaced by pins, boosts, caps or first showings of the shop.",
        "zh": "按得分排第 {score_rank} 位，但被店铺的置顶、加权、限量或新品首次展示规则挤出。",
    },
}


def language_of(context: Context) -> Language:
    """Return the language that a context names under the free key `language`."""
    named = (context.model_extra or {}).get("language")
    return "zh" if isinstance(named, str) and named.lower().startswith("zh") else "en"


def in_language(reason: Reason, catalogue: Catalogue, row: int, language: Language) -> Reason:
    """Return a reason for the item at a catalogue row with its text in a language."""
    template = CHINESE.get(reason.code) if language == "zh" else None
    if template is None:
        return reason
    item = catalogue.items[row]
    if reason.code == "new" and not item.categories:
        template = NEW_WITHOUT_CATEGORY
    names = {
        "because": _title(catalogue, reason.because_item_id),
        "top": item.categories[0][:MAX_TITLE] if item.categories else "",
        "leaf": item.categories[-1][:MAX_TITLE] if item.categories else "",
        "brand": (item.brand or "")[:MAX_TITLE],
    }
    return reason.model_copy(update={"text": template.format(**names)})


def _title(catalogue: Catalogue, public_id: str | int | None) -> str:
    row = catalogue.row_of.get(str(public_id), -1)
    title = catalogue.items[row].title if row >= 0 else None
    return (title or str(public_id))[:MAX_TITLE]
