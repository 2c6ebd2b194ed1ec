"""A real shop's log in three formats is the same log; looked for in AISLE_DATA_DIR, else in ../shared/data."""

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from services.training.examples.cleaning import clean
from services.training.importing.event_identity import with_event_ids
from services.training.importing.interactions import read_interactions
from services.training.importing.mapping import ColumnMapping

DATA_DIR = Path(os.environ.get("AISLE_DATA_DIR", Path(__file__).parents[3].parent / "shared" / "data"))
ONLINE_RETAIL = DATA_DIR / "uci-online-retail" / "transactions_2010_2011.parquet"
MAPPING = ColumnMapping(
    "interactions",
    {
        "user_id": ("customer_id",),
        "item_id": ("stock_code",),
        "occurred_at": ("invoice_date",),
        "price": ("unit_price_gbp",),
        "order_id": ("invoice_no",),
        "context.country": ("country",),
    },
    default_type="purchase",
)
ROWS = 20_000


@pytest.mark.skipif(not ONLINE_RETAIL.is_file(), reason="uci-online-retail is not in AISLE_DATA_DIR")
def test_a_real_log_is_the_same_whether_parquet_csv_or_json_lines(tmp_path: Path) -> None:
    log = pd.read_parquet(ONLINE_RETAIL).head(ROWS)
    log.to_parquet(tmp_path / "log.parquet")
    log.to_csv(tmp_path / "log.csv", index=False)
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    tables = []
    for name in ("log.parquet", "log.csv", "log.jsonl"):
        read = read_interactions(tmp_path / name, MAPPING, ZoneInfo("Europe/London"))
        cleaned = clean(read.table)
        assert cleaned.report.count("missing_user") > 0
        assert cleaned.report.count("quantity_not_positive") > 0
        tables.append(
            with_event_ids(cleaned.kept).to_pandas().astype({"user_key": str, "item_id": str, "context": str})
        )
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])
