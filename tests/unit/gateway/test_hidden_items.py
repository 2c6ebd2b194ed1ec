"""What the shop hides is in no list that the gateway makes itself, and in no stale one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.merchandising import Merchandising, Rule
from tests.fakes import START_MS
from tests.unit.gateway.rig import Rig, RunningGateway, ids, settle


def hide(**fields: Any) -> Merchandising:
    return Merchandising(rules=(Rule(rule_id="gone", action="hide", **fields),), version=str(fields))


def popular(gateway: RunningGateway) -> list[str | int]:
    from services.gateway.listing import ListingQuery

    answer = gateway.gateway.listing.answer("popular", ListingQuery())
    return [place["item_id"] for place in answer.items]


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({"items": ["pop-2"]}, True),
        ({"filter": 'title contains "of pop-2"'}, True),
        ({"items": ["pop-2"], "scenario": "home"}, True),
        ({"items": ["pop-2"], "scenario": "cart"}, False),
        ({"items": ["pop-2"], "enabled": False}, False),
        ({"items": ["pop-2"], "ends_at": datetime.fromtimestamp(START_MS / 1000, UTC)}, False),
        ({"items": ["pop-2"], "starts_at": datetime.fromtimestamp(START_MS / 1000, UTC)}, True),
    ],
)
async def test_hidden_items_are_not_in_the_list_of_the_lower_rung(
    rig: Rig, fields: dict[str, Any], hidden: bool
) -> None:
    rig.rules.merchandising = hide(**fields)
    rig.ranking.down = True
    async with rig.started() as gateway:
        listed = ids(await gateway.recommend(scenario="home"))
    assert ("pop-2" not in listed) == hidden
    assert "pop-1" in listed


async def test_a_rule_acts_on_the_popular_list_as_soon_as_it_is_told(rig: Rig) -> None:
    async with rig.started() as gateway:
        assert "pop-2" in popular(gateway)
        rig.rules.merchandising = hide(items=["pop-2"], scenario="popular")
        rig.changes.rules(START_MS)
        await settle()
        assert "pop-2" not in popular(gateway)
        rig.rules.merchandising = Merchandising(version="none")
        rig.changes.rules(START_MS)
        await settle()
        assert "pop-2" in popular(gateway)


async def test_a_stale_list_made_under_other_rules_is_not_shown(rig: Rig) -> None:
    async with rig.started() as gateway:
        rig.cache.rules = "r1"
        await gateway.recommend()
        rig.ranking.down = True
        rig.clock.advance(120)
        assert (await gateway.recommend())["served_from"] == "stale_cache"
        rig.cache.rules = "r2"
        assert (await gateway.recommend())["served_from"] == "popular"
