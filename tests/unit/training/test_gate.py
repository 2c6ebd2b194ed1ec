"""The promotion gate says yes or no, and why."""

from typing import Any

from services.training.gate import Rival, judge


def report(fused: float, floor: float, coverage: float = 0.2, floor_coverage: float = 0.001) -> dict[str, Any]:
    return {
        "rows": [
            {"source": "fused", "NDCG@10": fused, "coverage": coverage},
            {"source": "popularity", "NDCG@10": floor, "coverage": floor_coverage},
        ]
    }


def test_first_model_better_than_popularity_is_promoted_with_its_numbers() -> None:
    verdict = judge(report(0.2, 0.1), None)
    assert verdict.promoted
    assert verdict.summary == (
        "Promoted: NDCG@10 is 0.2000 against 0.1000 of the popular list; "
        "its first ten places show 20.0% of the catalogue; no model serves yet."
    )


def test_model_hardly_better_than_popularity_is_not_promoted() -> None:
    verdict = judge(report(0.102, 0.1), None)
    assert not verdict.promoted
    assert verdict.reasons == (
        "NDCG@10 is 0.1020 against 0.1000 of the popular list, and 1.05 times that is asked for",
    )


def test_model_worse_than_the_one_that_serves_is_not_promoted() -> None:
    verdict = judge(report(0.18, 0.1), Rival("abc", 0.2, same_questions=True))
    assert not verdict.promoted
    assert verdict.reasons == ("model abc reaches 0.2000 on the same questions",)


def test_model_within_the_noise_of_the_one_that_serves_is_promoted() -> None:
    assert judge(report(0.196, 0.1), Rival("abc", 0.2, same_questions=True)).promoted


def test_verdict_tells_when_the_numbers_are_of_different_periods() -> None:
    verdict = judge(report(0.2, 0.1), Rival("abc", 0.19, same_questions=False))
    assert "on its own, earlier or overlapping, test period" in verdict.summary


def test_one_list_for_everybody_is_not_promoted() -> None:
    assert not judge(report(0.2, 0.1, coverage=0.001), None).promoted


def test_no_questions_no_promotion() -> None:
    assert not judge({"rows": []}, None).promoted


def test_orders_are_followed_and_named() -> None:
    assert judge(report(0.05, 0.1), None, "always").summary.startswith("Promoted: by order; NDCG@10 is 0.0500")
    assert judge(report(0.2, 0.1), None, "never").summary.startswith("Not promoted: by order; NDCG@10 is 0.2000")
