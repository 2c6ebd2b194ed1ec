"""`aisle metrics`: a log small enough to count by hand, in a real Postgres."""

import json
import re
from datetime import UTC, datetime, timedelta
from math import log2
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from services.command.main import app
from shared.contracts.events import EVENT_TYPE_CODES, EventType, StoredEvent
from shared.contracts.impressions import Impression
from shared.contracts.times import epoch_ms
from shared.features.catalogue import CatalogueItem
from shared.storage.relational.business_metrics import METRICS, Period, business_metrics, parameters_of
from shared.storage.relational.catalogue import delete_item, upsert_items
from shared.storage.relational.impressions import insert_impressions
from shared.storage.relational.interactions import insert_once
from tests.integration.test_storage_interactions import stored_event

MORNING = datetime(2026, 3, 2, 10, tzinfo=UTC)
WEEK = Period(MORNING - timedelta(hours=10), MORNING + timedelta(days=3))
CATEGORY_OF = {"A": "Shoes", "B": "Shoes", "C": "Hats", "D": "Hats", "E": None, "F": "Hats"}


def shown(recommendation_id: str, items: str, after: timedelta = timedelta(), **changes: Any) -> Impression:
    fields: dict[str, Any] = {
        "recommendation_id": recommendation_id,
        "made_at_ms": epoch_ms(MORNING + after),
        "user_key": "u:1",
        "scenario": "home",
        "item_ids": list(items),
        "model_version": "v1",
        "served_from": "live",
        "degraded_reason": "none",
    }
    return Impression(**fields | changes)


def act(
    number: int, event_type: EventType, item_id: str, recommendation_id: str | None, hours: float = 3.0, **changes: Any
) -> StoredEvent:
    at = MORNING + timedelta(hours=hours)
    fields = {"type": event_type, "item_id": item_id, "recommendation_id": recommendation_id, "price": None}
    return stored_event(f"e{number}", occurred_at=at, received_at=at, **fields | changes)


@pytest.fixture
def log(engine: Engine) -> Engine:
    """Store four lists of five live items and what followed them."""
    two_days, evening = timedelta(days=2), timedelta(hours=2)
    buy, click, view = EventType.PURCHASE, EventType.CLICK, EventType.VIEW
    lists = [
        shown("r1", "ABC", session_id="s1"),
        shown("r2", "AC", timedelta(hours=1), session_id="s1"),
        shown("r3", "DE", evening, user_key="u:2", scenario="cart"),
        shown("r4", "FA", two_days, user_key="u:2", model_version="v2"),
        shown("before", "AB", timedelta(days=-1)),
    ]
    acts = [
        act(1, click, "A", "r1"),
        act(2, click, "A", "r1"),  # the same place again
        act(3, view, "B", "r1"),  # a view that names its list is a click on it
        act(4, click, "D", "r1"),  # was not in the list
        act(5, click, "B", "nobody"),  # no such list
        act(6, click, "C", "r2", hours=24 * 8),  # too late
        act(7, buy, "A", "r1", price=10.0, quantity=2.0, order_id="o1"),
        act(8, buy, "A", "r1", price=10.0, quantity=2.0, order_id="o1"),  # the order again under another id
        act(9, buy, "C", "r1", price=5.0, order_id="o2"),
        act(10, buy, "C", "r2", price=5.0, order_id="o2"),  # the same line, for another list
        act(11, buy, "D", "r3", price=7.0, user_key="u:2"),
        act(12, buy, "A", None, price=9.0),  # found without a list
        act(13, buy, "A", "r4", hours=50, price=3.0, order_id="o3", user_key="u:2"),  # the newest list has it
        act(14, buy, "A", "r1", hours=50, price=3.0, order_id="o3", user_key="u:2"),
    ]
    with engine.begin() as connection:
        items = [CatalogueItem(name, categories=(kind,) if kind else ()) for name, kind in CATEGORY_OF.items()]
        upsert_items(connection, items)
        delete_item(connection, "F")
        insert_impressions(connection, lists)
        assert len(insert_once(connection, acts).new) == len(acts)
    return engine


def test_clicks_purchases_and_revenue_are_those_of_each_list(log: Engine) -> None:
    with log.connect() as connection:
        cart, home, newer = business_metrics(connection, WEEK, ("scenario", "model"))
    assert (cart.group, home.group) == ({"scenario": "cart", "model": "v1"}, {"scenario": "home", "model": "v1"})
    assert newer.group == {"scenario": "home", "model": "v2"}
    assert (home.lists, home.sessions, home.places, home.clicks, home.purchases) == (2, 1, 5, 2, 2)
    assert (home.click_rate, home.purchases_per_click, home.purchases_per_place) == (0.4, 1.0, 0.4)
    assert (home.revenue, home.revenue_per_session) == (25.0, 25.0)
    assert (cart.lists, cart.clicks, cart.purchases, cart.purchases_per_click, cart.revenue) == (1, 0, 1, None, 7.0)
    assert (newer.lists, newer.clicks, newer.purchases, newer.revenue_per_session) == (1, 0, 1, 3.0)


def test_variety_is_that_of_the_lists_against_the_catalogue_and_the_period(log: Engine) -> None:
    with log.connect() as connection:
        cart, home, newer = business_metrics(connection, WEEK, ("scenario", "model"))
    assert home.diversity == pytest.approx((2 / 3 + 1) / 2)  # 2 of the 3 pairs of ABC differ, the one of AC does
    assert (cart.diversity, newer.diversity) == (None, None)  # one known category only
    assert (home.coverage, cart.coverage, newer.coverage) == (3 / 5, 2 / 5, 1 / 5)  # F is not sold any more
    # Of the period: A 7, B 2, C 2, D 2 acts, E and F none; and one more for each of the five live items.
    bits = {name: -log2((acts + 1) / (13 + 5)) for name, acts in zip("ABCDEF", (7, 2, 2, 2, 0, 0), strict=True)}
    assert home.novelty == pytest.approx(sum(bits[name] for name in "ABCAC") / 5)
    assert cart.novelty == pytest.approx((bits["D"] + bits["E"]) / 2)
    assert newer.novelty == pytest.approx((bits["F"] + bits["A"]) / 2)


def test_all_lists_together_count_sessions_and_items_once(log: Engine) -> None:
    with log.connect() as connection:
        (everything,) = business_metrics(connection, WEEK)
    # s1; u:2 on Monday; u:2 on Wednesday, since without a session id a day is one.
    assert (everything.lists, everything.sessions, everything.places, everything.purchases) == (4, 3, 9, 4)
    assert everything.coverage == 1.0
    assert everything.group == {}


def test_a_wider_window_finds_the_late_click(log: Engine) -> None:
    with log.connect() as connection:
        (everything,) = business_metrics(connection, Period(WEEK.since, WEEK.until, timedelta(days=14)))
    assert everything.clicks == 3


def test_acts_are_found_by_the_index_of_their_list(log: Engine) -> None:
    with log.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO interactions (event_id, type, user_key, item_id, occurred_at, received_at, quantity)"
                " SELECT 'x' || n, :view, 'u:' || n % 500, 'A', :at, :at, 1 FROM generate_series(1, 20000) AS n"
            ),
            {"view": EVENT_TYPE_CODES[EventType.VIEW], "at": MORNING},
        )
        connection.execute(text("ANALYZE interactions"))
    with log.connect() as connection:
        plan = "\n".join(
            connection.execute(text(f"EXPLAIN {METRICS.text}"), parameters_of(WEEK, ("scenario",))).scalars()
        )
        (everything,) = business_metrics(connection, WEEK)
    acts = next(part for part in plan.split("\n  CTE ") if part.startswith("acts"))
    assert re.search(r"Index Scan (using|on) interactions_2026_03_recommendation_id_idx", acts), acts
    assert "Seq Scan on interactions" not in acts, acts
    assert everything.clicks == 2


def test_a_period_without_lists_has_no_rows(engine: Engine) -> None:
    with engine.connect() as connection:
        assert business_metrics(connection, WEEK, ("scenario",)) == []


def aisle(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["metrics", *arguments], env={"COLUMNS": "250"})


@pytest.mark.usefixtures("log")
def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("AISLE_DATABASE_URL", database_url)
    period = ("--since", "2026-03-02", "--until", "2026-03-05T00:00:00")
    printed = aisle(*period)
    assert printed.exit_code == 0, printed.output
    assert "40.00%" in printed.output
    document = json.loads(aisle(*period, "--by", "model", "--json").output)
    assert [row["group"] for row in document["rows"]] == [{"model": "v1"}, {"model": "v2"}]
    assert document["rows"][0]["revenue"] == 32.0
    assert document["since"] == "2026-03-02T00:00:00+00:00"
    assert "none." in aisle("--until", "2026-01-02").output


def test_a_wrong_flag_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("AISLE_DATABASE_URL", database_url)
    assert aisle("--by", "colour").exit_code == 2
    assert aisle("--since", "2026-03-02", "--until", "2026-03-01").exit_code == 2
