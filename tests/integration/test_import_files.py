"""A shop's files into real stores: once, twice, broken, and beside running services."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from services.training.importing.errors import MalformedFileError
from services.training.importing.importer import Changes, Importer, ImportPlace
from services.training.importing.mapping import ColumnMapping
from services.training.importing.tell_services import RedisPlace, tell_services
from services.training.progress import Progress
from shared.contracts.internal import Profile
from shared.storage.redis.change_stream import ChangeStream
from shared.storage.redis.clients import async_client
from shared.storage.redis.user_state import OnlineStateReader
from shared.storage.relational.catalogue import get_item
from shared.storage.relational.interactions import newest_events
from shared.storage.relational.users import profile_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ITEMS = "sku,name,path,price,attributes.grams\n1,Tea,FOOD > TEA,3.5,100\n2,Cup,HOME > CUPS,8,\n3,Pot,HOME > POTS,-8,\n"
USERS = '{"customer": 7, "age": 34, "attributes.kids": 2}\n{"customer": 8, "age": 340}\n'
EVENTS = (
    "customer,sku,when,event,branch\n"
    "7,1,2026-11-05 12:00:00,transaction,12\n"
    "7,2,2026-11-06 12:00:00,view,12\n"
    "7,2,2026-11-06 12:00:00,view,12\n"
    "8,9,2026-11-06 12:00:00,view,\n"
    ",1,2026-11-06 12:00:00,view,\n"
    "8,1,2027-11-06 12:00:00,view,\n"
    "8,2,2026-11-07 12:00:00,view,\n"
)
ITEM_COLUMNS = ColumnMapping("items", {"item_id": ("sku",), "title": ("name",), "categories": ("path",)})
USER_COLUMNS = ColumnMapping("users", {"user_id": ("customer",)})
EVENT_COLUMNS = ColumnMapping(
    "interactions",
    {
        "user_id": ("customer",),
        "item_id": ("sku",),
        "occurred_at": ("when",),
        "type": ("event",),
        "context.store": ("branch",),
    },
    {"transaction": "purchase"},
)


class Shop:
    """The files of a small shop, and an importer for them."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.reports: list[Progress] = []
        for name, content in (("items.csv", ITEMS), ("users.jsonl", USERS), ("events.csv", EVENTS)):
            (folder / name).write_text(content)

    def importer(self) -> Importer:
        return Importer(ImportPlace(self.engine, ZoneInfo("America/New_York"), NOW, report=self.reports.append))

    def import_all(self) -> list[Any]:
        importer = self.importer()
        return [
            importer.items_file(self.folder / "items.csv", ITEM_COLUMNS),
            importer.users_file(self.folder / "users.jsonl", USER_COLUMNS),
            importer.interactions_file(self.folder / "events.csv", EVENT_COLUMNS),
        ]

    def rows(self, table: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(f"SELECT * FROM {table} ORDER BY 1")))  # noqa: S608


@pytest.fixture
def shop(tmp_path: Path, engine: Engine) -> Shop:
    return Shop(tmp_path, engine)


def counts(summary: Any) -> tuple[int, int, int, int]:
    return (summary.rows_read, summary.rows_new, summary.rows_known, summary.rows_rejected)


def test_files_are_stored_as_the_services_read_them(shop: Shop) -> None:
    shop.import_all()
    with shop.engine.connect() as connection:
        tea = get_item(connection, "1")
        profile = profile_of(connection, "u:7")
        events = newest_events(connection, "u:7", 10)
    assert tea is not None
    assert (tea.title, tea.categories, tea.price, tea.is_integer) == ("Tea", ("FOOD", "TEA"), 3.5, True)
    assert tea.attributes == {"grams": 100}
    assert profile == Profile(age_band="25-34", attributes={"kids": "2"})
    assert [(event.item_id, event.at_ms) for event in events] == [
        ("1", int(datetime(2026, 11, 5, 17, tzinfo=UTC).timestamp() * 1000)),
        ("2", int(datetime(2026, 11, 6, 17, tzinfo=UTC).timestamp() * 1000)),
    ]
    assert {row.context["store"] for row in shop.rows("interactions") if row.context} == {"12"}


def test_every_row_is_accounted_for_and_rejected_ones_say_why(shop: Shop) -> None:
    items, users, events = shop.import_all()
    assert (counts(items), counts(users), counts(events)) == ((3, 2, 0, 1), (2, 1, 0, 1), (7, 3, 0, 4))
    assert {rule.rule: rule.rows for rule in events.rules if rule.rows and rule.action == "rejected"} == {
        "missing_user": 1,
        "implausible_time": 1,
        "unknown_item": 1,
        "duplicate": 1,
    }
    assert events.rejected_file == shop.folder / "events.rejected.jsonl"
    assert [line.split(",")[:2] for line in events.rejected_file.read_text().splitlines()] == [
        ['{"line":4', '"reason":"duplicate"'],
        ['{"line":5', '"reason":"unknown_item"'],
        ['{"line":6', '"reason":"missing_user"'],
        ['{"line":7', '"reason":"implausible_time"'],
    ]


def test_importing_twice_changes_nothing(shop: Shop) -> None:
    shop.import_all()
    before = [shop.rows(table) for table in ("items", "users", "interactions", "event_receipts")]
    again = shop.importer()
    summaries = [
        again.items_file(shop.folder / "items.csv", ITEM_COLUMNS),
        again.users_file(shop.folder / "users.jsonl", USER_COLUMNS),
        again.interactions_file(shop.folder / "events.csv", EVENT_COLUMNS),
    ]
    assert [summary.rows_new for summary in summaries] == [0, 0, 0]
    assert [summary.rows_known for summary in summaries] == [2, 1, 3]
    assert again.changes == Changes()
    assert [shop.rows(table) for table in ("items", "users", "interactions", "event_receipts")] == before


def test_a_longer_file_adds_only_what_is_new(shop: Shop) -> None:
    shop.import_all()
    (shop.folder / "events.csv").write_text(EVENTS + "7,1,2026-11-08 12:00:00,view,\n")
    importer = shop.importer()
    summary = importer.interactions_file(shop.folder / "events.csv", EVENT_COLUMNS)
    assert (summary.rows_new, summary.rows_known) == (1, 3)
    assert importer.changes.user_keys == {"u:7", "u:8"}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("events.csv", EVENTS + "8,2,never,view,\n", 9),
        ("events.csv", EVENTS + "8,2\n", 9),
        ("items.csv", ITEMS + "4,Bowl,HOME,cheap,\n", 5),
        ("users.jsonl", USERS + '{"customer": 9\n', 3),
    ],
)
def test_nothing_of_a_malformed_file_is_imported(shop: Shop, name: str, content: str, line: int) -> None:
    path = shop.folder / name
    path.write_text(content)
    with pytest.raises(MalformedFileError, match=f"{name}, line {line}, column"):
        shop.import_all()
    table = {"events.csv": "interactions", "items.csv": "items", "users.jsonl": "users"}[name]
    assert shop.rows(table) == []


def test_without_a_catalogue_no_item_is_unknown(shop: Shop) -> None:
    summary = shop.importer().interactions_file(shop.folder / "events.csv", EVENT_COLUMNS)
    assert summary.rows_new == 4


def test_each_long_step_reports_its_progress_to_the_end(shop: Shop) -> None:
    shop.import_all()
    last = {report.step: report for report in shop.reports}
    assert list(last) == [
        "Read items.csv",
        "Store items.csv",
        "Read users.jsonl",
        "Store users.jsonl",
        "Read events.csv",
        "Clean events.csv",
        "Store events.csv",
    ]
    assert all(report.done == report.total for report in last.values())


async def test_running_services_forget_changed_shoppers_and_hear_of_the_catalogue(
    shop: Shop, stream_url: str, cache_url: str
) -> None:
    importer = shop.importer()
    cache, stream = async_client(cache_url), async_client(stream_url)
    online = OnlineStateReader(cache, "aisle")
    for user_key in ("u:7", "u:9"):
        await online.rebuild(user_key, await online.version(user_key), [], Profile())
    importer.items_file(shop.folder / "items.csv", ITEM_COLUMNS)
    importer.interactions_file(shop.folder / "events.csv", EVENT_COLUMNS)
    assert tell_services(importer.changes, RedisPlace(stream_url, cache_url, "aisle"))
    assert await online.read("u:7") is None
    assert await online.read("u:9") is not None
    async for change in ChangeStream(stream, "aisle").tail("0-0"):
        assert change.kind == "catalogue"
        break
    await cache.aclose()
    await stream.aclose()


def test_servers_that_are_away_are_said_to_be_untold(unused_port: Any) -> None:
    nowhere = f"redis://127.0.0.1:{unused_port()}/0"
    assert not tell_services(Changes({"u:7"}, 0), RedisPlace(nowhere, nowhere, "aisle"))
    assert not tell_services(Changes(set(), 1), RedisPlace(nowhere, nowhere, "aisle"))
    assert tell_services(Changes(), RedisPlace(nowhere, nowhere, "aisle"))
