"""Simulated shoppers visit a running platform through its gateway.

Called by   services/command/simulate_command.py (aisle simulate --against)
Catalogue   the simulated shop's products, sent before the first visit; or those that the shop's database holds
Errors      VisitError in one line: the gateway or Postgres cannot be reached, or refused what it was sent
"""

import time
from typing import TYPE_CHECKING, Any

import typer

from services.command.api_client import ApiClient, ApiError, gateway_client

if TYPE_CHECKING:
    from services.training.simulation.config import SimulationConfig
    from services.training.simulation.live import LiveFigures
    from services.training.simulation.world import World

POSTED_AT_ONCE = 500


class VisitError(Exception):
    """The visits could not be made."""


def visit(config: "SimulationConfig", gateway_url: str, in_shop: bool, visits: int) -> None:
    """Send the shoppers, one visit after the other, and print what they did."""
    from shared.service.settings import Settings

    try:
        _visit(config, gateway_client(Settings.load(), gateway_url), in_shop, visits)
    except ApiError as error:
        raise VisitError(str(error)) from None


def _visit(config: "SimulationConfig", client: ApiClient, in_shop: bool, visits: int) -> None:
    from rich.console import Console

    from services.command.progress_bars import ProgressBars
    from services.training.progress import StepProgress
    from services.training.simulation.live import LiveShoppers

    world, item_ids = _shops_world(config) if in_shop else _own_world(config, client)
    people = [world.shoppers.user_json(user) for user in range(len(world.shoppers))]
    for first in range(0, len(people), POSTED_AT_ONCE):
        client.post("/users", {"users": people[first : first + POSTED_AT_ONCE]})
    shoppers = LiveShoppers(world, item_ids, _Gateway(client), config.seed, lambda: time.time_ns() // 1_000_000)
    with ProgressBars(Console(stderr=True)) as bars:
        step = StepProgress("Visits", visits, "visits", bars.report)
        for _ in range(visits):
            shoppers.visit(config.list_length)
            step.advance()
    _print_figures(shoppers.figures)


def _own_world(config: "SimulationConfig", client: ApiClient) -> "tuple[World, tuple[str, ...]]":
    """Return the simulated shop after sending its products."""
    from services.training.simulation.catalogue import item_id
    from services.training.simulation.world import make_world

    world = make_world(config)
    numbers = range(len(world.catalogue))
    for first in range(0, len(numbers), POSTED_AT_ONCE):
        products = [world.catalogue.item_json(number) for number in numbers[first : first + POSTED_AT_ONCE]]
        client.post("/items", {"items": products})
    return world, tuple(item_id(number) for number in numbers)


def _shops_world(config: "SimulationConfig") -> "tuple[World, tuple[str, ...]]":
    """Return simulated shoppers among the products of the shop's own database."""
    import numpy as np

    from services.training.simulation.shop_catalogue import catalogue_of
    from services.training.simulation.shoppers import make_shoppers
    from services.training.simulation.world import World
    from shared.service.settings import Settings
    from shared.storage.relational.catalogue import load_all
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    engine = make_engine(Settings.load().database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            items = [sequenced.item for sequenced in load_all(connection)]
    except STORAGE_DOWN_ERRORS:
        raise VisitError(
            "Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL"
        ) from None
    finally:
        engine.dispose()
    catalogue, item_ids = catalogue_of(items, config.seed)
    if not item_ids:
        raise VisitError("the shop has no products that can be sold")
    return World(catalogue, make_shoppers(config, np.random.default_rng([config.seed, 2]))), item_ids


def _print_figures(figures: "LiveFigures") -> None:
    rungs = ", ".join(f"{number:,} {rung}" for rung, number in figures.served_from.most_common())
    shown = max(figures.places, 1)
    typer.echo(f"Simulated shoppers: {figures.visits:,} visits, {figures.lists:,} lists ({rungs})")
    typer.echo(f"{figures.places:,} items shown, {figures.unknown_places:,} more that the simulation does not know")
    typer.echo(f"clicks     {figures.clicks:,} ({figures.clicks / shown:.2%}), by truth {figures.expected_clicks:,.1f}")
    bought, expected = figures.purchases, figures.expected_purchases
    typer.echo(f"purchases  {bought:,} ({bought / shown:.3%}), by truth {expected:,.2f}")
    typer.echo(f"revenue    {figures.revenue:,.2f}")


class _Gateway:
    """The gateway as a shop's front end calls it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def recommend(self, request: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = self._client.post("/recommend", request)
        return reply

    def tell(self, events: list[dict[str, Any]]) -> None:
        receipt = self._client.post("/events", {"events": events})
        if receipt["rejected"]:
            raise ApiError(f"an event was refused: {receipt['rejected'][0]}")
