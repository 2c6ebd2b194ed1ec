"""Simulated shoppers in a shop that is there, and the log as the public API takes it."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from services.training.simulation.catalogue import item_id
from services.training.simulation.config import SimulationConfig
from services.training.simulation.emit import write_shop
from services.training.simulation.live import LiveShoppers
from services.training.simulation.shop_catalogue import catalogue_of
from services.training.simulation.shoppers import make_shoppers
from services.training.simulation.simulate import simulate
from services.training.simulation.world import World, make_world
from shared.contracts.catalogue import Item
from shared.contracts.events import Event, EventType
from shared.contracts.recommendation import RecommendRequest
from shared.contracts.users import User
from shared.features.catalogue import CatalogueItem

CONFIG = SimulationConfig(num_users=80, num_items=100, days=7, sessions_per_user=3)
NOON_MS = 1_790_000_000_000


class RememberingShop:
    """A shop that shows the same list to everybody and remembers what it was told."""

    def __init__(self, item_ids: list[str]) -> None:
        self.item_ids = item_ids
        self.lists: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def recommend(self, request: dict[str, Any]) -> dict[str, Any]:
        RecommendRequest.model_validate(request)
        recommendation_id = f"r{len(self.lists)}"
        self.lists[recommendation_id] = request
        places = [{"item_id": shown} for shown in self.item_ids[: request["num_items"]]]
        return {"recommendations": places, "recommendation_id": recommendation_id, "served_from": "live"}

    def tell(self, events: list[dict[str, Any]]) -> None:
        self.events += events


def visited(shop: RememberingShop, visits: int) -> LiveShoppers:
    world = make_world(CONFIG)
    ids = [item_id(item) for item in range(CONFIG.num_items)]
    shoppers = LiveShoppers(world, ids, shop, CONFIG.seed, lambda: NOON_MS)
    for _ in range(visits):
        shoppers.visit(num_items=10)
    return shoppers


def test_what_shoppers_do_with_a_list_names_the_list_and_the_place() -> None:
    shop = RememberingShop([item_id(item) for item in range(10)])
    figures = visited(shop, 300).figures
    events = [Event.model_validate(event) for event in shop.events]
    assert len({event.event_id for event in events}) == len(events)
    acts = [event for event in events if event.recommendation_id is not None]
    assert {event.type for event in acts} == {EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE}
    for event in acts:
        asked = shop.lists[str(event.recommendation_id)]
        assert (event.user_id, event.session_id) == (asked["user_id"], asked["session_id"])
        assert event.items[0].item_id == shop.item_ids[(event.items[0].position or 0) - 1]
    assert sum(event.type is EventType.CLICK for event in acts) == figures.clicks
    bought = [event for event in acts if event.type is EventType.PURCHASE]
    assert (len(bought), sum(event.items[0].price or 0 for event in bought)) == (
        figures.purchases, pytest.approx(figures.revenue),
    )  # fmt: skip


def test_clicks_are_as_many_as_the_truth_expects() -> None:
    figures = visited(RememberingShop([item_id(item) for item in range(10)]), 600).figures
    assert figures.places == 10 * figures.lists
    assert abs(figures.clicks - figures.expected_clicks) < 4 * figures.expected_clicks**0.5


def test_items_that_the_simulation_does_not_know_are_seen_by_nobody_and_keep_their_place() -> None:
    shop = RememberingShop(["stranger", item_id(3)])
    figures = visited(shop, 200).figures
    assert figures.places == figures.unknown_places == figures.lists
    lines = [line for event in shop.events for line in event["items"]]
    assert {line["position"] for line in lines if "position" in line} == {2}


def test_a_shop_without_a_list_to_show_is_still_told_of_views() -> None:
    shop = RememberingShop([])
    figures = visited(shop, 50).figures
    assert (figures.places, figures.clicks) == (0, 0)
    assert {event["type"] for event in shop.events} == {"view"}


def test_shoppers_find_their_way_among_a_shops_own_products() -> None:
    items = [CatalogueItem(f"p{n}", categories=(f"aisle {n % 3}",), price=1.0 + n, brand="b") for n in range(40)]
    items += [CatalogueItem("bare"), CatalogueItem("sold out", stock=0), CatalogueItem("gone", deleted=True)]
    catalogue, ids = catalogue_of(items, seed=1)
    assert set(ids) == {f"p{n}" for n in range(40)} | {"bare"}
    assert (np.diff(catalogue.category_V) >= 0).all()
    again, same_ids = catalogue_of(items[::-1], seed=1)
    assert (ids, catalogue.category_V.tolist()) == (same_ids, again.category_V.tolist())
    shop = RememberingShop(list(ids[:10]))
    world = World(catalogue, make_shoppers(CONFIG, np.random.default_rng(1)))
    shoppers = LiveShoppers(world, ids, shop, 1, lambda: NOON_MS)
    for _ in range(100):
        shoppers.visit(num_items=10)
    assert shoppers.figures.clicks > 0
    assert {event["items"][0]["item_id"] for event in shop.events} <= set(ids)


def test_the_files_hold_what_the_public_api_takes_and_nothing_of_the_truth(tmp_path: Path) -> None:
    log = simulate(CONFIG)
    write_shop(log, tmp_path)
    items, users, lines = (
        [orjson.loads(line) for line in (tmp_path / f"{name}.jsonl").read_bytes().splitlines()]
        for name in ("items", "users", "events")
    )
    assert len([Item.model_validate(item) for item in items]) == CONFIG.num_items
    assert len([User.model_validate(user) for user in users]) == CONFIG.num_users
    events = [Event.model_validate(line) for line in lines]
    assert len({event.event_id for event in events}) == len(events) == len(log.impressions) + len(log.events)
    impressions = [event for event in events if event.type is EventType.IMPRESSION]
    assert len(impressions) == len(log.impressions)
    assert all(event.items[0].position and 0 < event.context["propensity"] <= 1 for event in impressions)
    assert {key for line in lines for key in line["context"]} == {"device", "propensity"}
    moments = [event.occurred_at for event in events if event.occurred_at is not None]
    assert moments == sorted(moments)
    assert len(moments) == len(events)
