"""UCI Online Retail: what new products are in a customer's last invoice?

Called by   registry.py
Rows        customer known, quantity and price above 0 (397,884 of 541,909 lines)
Protocol    a moment is an invoice: the last one is the test, the last but one the validation. Answers are the products
            that the customer never bought before; a hit is at least one of them among the first ten. Time: the same,
            cut at two moments of the log
"""

from pathlib import Path

import pandas as pd

from benchmarks.quality.data_sets.data_set import ANY_LOG, DataSet, as_raw, open_table
from benchmarks.quality.findings import found
from benchmarks.quality.interactions import build_interactions
from shared.features.catalogue import CatalogueItem


def open_online_retail(root: Path) -> DataSet:
    """Return the invoices of known customers."""
    path = root / "uci-online-retail" / "transactions_2010_2011.parquet"
    lines = open_table(path, root)
    clean = lines["customer_id"].notna() & (lines["quantity"] > 0) & (lines["unit_price_gbp"] > 0)
    bought = lines[clean]
    columns = bought.rename(columns={"customer_id": "user_id", "stock_code": "item_id", "invoice_date": "timestamp"})
    columns = columns[["user_id", "item_id", "timestamp"]].astype({"user_id": "int64"})
    raw = as_raw(path, columns.assign(position=_invoices(bought)))
    findings = found(
        "lines without customer, quantity or price", (~clean).sum(), "left out: returns, fees and strangers"
    )
    interactions = build_interactions(raw, _products(bought), baskets=True, findings=findings)
    return DataSet("uci-online-retail", interactions, ANY_LOG, note="new products of the last invoice")


def _invoices(bought: pd.DataFrame) -> pd.Series:
    """Return the place of each line's invoice among all invoices, by time."""
    began = bought.groupby("invoice_no")["invoice_date"].min().reset_index()
    place = began.sort_values(["invoice_date", "invoice_no"])["invoice_no"].reset_index(drop=True)
    return bought["invoice_no"].map(pd.Series(place.index, index=place)).astype("int64")


def _products(bought: pd.DataFrame) -> dict[str, CatalogueItem]:
    """Return title and median price of each product."""
    by_code = bought.groupby("stock_code")
    title, price = by_code["description"].first(), by_code["unit_price_gbp"].median()
    cells = zip(title.index, title, price, strict=True)
    return {str(code): CatalogueItem(str(code), title=name, price=float(cost)) for code, name, cost in cells}
