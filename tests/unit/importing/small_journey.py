"""A tiny Complete Journey in the files and columns of the real one.

Called by   tests/unit/importing, tests/integration/test_import_complete_journey.py
"""

from pathlib import Path

import pandas as pd

LINES = (
    # household, store, basket, product, quantity, sales, loyalty, coupon, match, time
    (1, 330, 11, 100, 2, 3.0, 1.0, 0.0, 0.0, "2017-12-30 10:00:00"),
    (1, 330, 11, 101, 1, 5.0, 0.0, 0.0, 0.0, "2017-12-30 10:00:00"),
    (1, 331, 12, 100, 1, 2.0, 0.0, 0.5, 0.0, "2017-12-31 23:00:00"),
    (2, 330, 13, 102, 9000, 27.0, 0.0, 0.0, 0.0, "2017-01-05 08:00:00"),
    (2, 330, 14, 102, 11000, 33.0, 0.0, 0.0, 0.0, "2017-12-20 08:00:00"),
    (2, 330, 15, 100, 0, 0.0, 0.0, 0.0, 0.0, "2017-12-20 08:00:00"),
    (2, 330, 15, 999, 1, 1.0, 0.0, 0.0, 0.0, "2017-12-20 08:00:00"),
    (1, 330, 16, 101, 1, 4.0, 1.5, 0.0, 0.5, "2017-03-12 02:30:00"),
)


def write_small_journey(folder: Path) -> Path:
    """Write transactions, products and demographics, and return the folder."""
    lines = pd.DataFrame(
        LINES,
        columns=[
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
        ],
    )
    lines["transaction_timestamp"] = pd.to_datetime(lines["transaction_timestamp"])
    lines["week"] = 1
    lines.to_parquet(folder / "transactions.parquet")
    pd.DataFrame(
        {
            "product_id": [100, 101, 102, 103],
            "manufacturer_id": [69, 2, 69, 3],
            "department": ["GROCERY", "DRUG GM", "FUEL", "MISC"],
            "brand": ["Private", "National", "Private", "National"],
            "product_category": ["COOKIES/CONES", "VITAMINS", "FUEL", None],
            "product_type": ["TRAY PACK/CHOC CHIP", "VITAMIN - MINERALS", "GASOLINE", None],
            "package_size": ["16 OZ", None, None, None],
        }
    ).to_parquet(folder / "products.parquet")
    pd.DataFrame(
        {
            "household_id": [1],
            "age": ["65+"],
            "income": ["35-49K"],
            "home_ownership": [None],
            "marital_status": ["Married"],
            "household_size": ["2"],
            "household_comp": ["2 Adults No Kids"],
            "kids_count": ["0"],
        }
    ).astype({"home_ownership": "str"}).to_parquet(folder / "demographics.parquet")
    return folder
