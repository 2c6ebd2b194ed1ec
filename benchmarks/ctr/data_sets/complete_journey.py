"""The Complete Journey: a household receives a campaign; does it redeem one of the coupons?

Called by   benchmarks/ctr/data_sets/names.py
Labels      purchase: a coupon of the campaign redeemed; there is no click before it
Features    the household's year so far, who it is, the campaign, and what of the campaign's products it bought before;
            all strictly before the campaign's first day
Realism     the publishers disagree whether the log is real or simulated from real patterns
"""

from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet

from benchmarks.ctr.data import CtrData, Source, cut
from benchmarks.ctr.past import DAY_MS, Past, columns
from services.training.multitask.labels import Labels, trainable
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows

EDGES = ("2017-01-01", "2017-07-01", "2017-08-01", "2017-09-01")
"""begin of the train slice and of the other three: whole campaigns in each"""
DEMOGRAPHICS = (
    *("age", "income", "home_ownership", "marital_status"),
    *("household_size", "household_comp", "kids_count"),
)
RECENT_DAYS = 60
Parts = list[tuple[str, np.ndarray]]


def complete_journey(folder: Path) -> CtrData:
    """Return received campaigns as examples, each a request of its own."""
    files = {
        name: pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pandas()
        for name in (
            *("campaigns", "campaign_descriptions", "coupon_redemptions", "demographics"),
            *("coupons", "products", "transactions"),
        )
    }
    received = files["campaigns"].merge(files["campaign_descriptions"])
    received = received.assign(at_ms=_ms(received["start_date"])).sort_values(["at_ms", "campaign_id", "household_id"])
    redeemed = files["coupon_redemptions"]
    pair = received["household_id"].astype(int) * 100 + received["campaign_id"].astype(int)
    bought = np.isin(pair, redeemed["household_id"].astype(int) * 100 + redeemed["campaign_id"].astype(int))
    labels = trainable({"purchase": bought})
    labels = Labels(labels.tasks, labels.label_NT, {**labels.missing, "click": "a letter has no clicks"})
    request_names, request_RF = columns(_of_households(received, files))
    item_names, item_NF = columns(_of_campaigns(received, files))
    known = received[["household_id"]].merge(files["demographics"], how="left")
    codes = [1 + pandas.factorize(known[name])[0] for name in DEMOGRAPHICS]
    kind = 1 + pandas.factorize(received["campaign_type"], sort=True)[0]
    fields = RankerFields(
        request_names,
        tuple(CategoryField(name, int(code.max()) + 1) for name, code in zip(DEMOGRAPHICS, codes, strict=True)),
        item_names,
        (CategoryField("campaign_type", int(kind.max()) + 1),),
        (),
        1,
        labels.tasks,
    )
    size = len(received)
    rows = RankerRows(
        request_RF,
        np.stack(codes, axis=1).astype(np.int32),
        item_NF,
        kind.astype(np.int32)[:, None],
        np.zeros((size, 1, 0), np.int32),
        np.zeros((size, 1), np.int32),
        np.zeros((size, 1), np.float32),
        np.arange(size, dtype=np.int32),
        np.zeros(size, np.int32),
    )
    note = "campaign received, coupon redeemed; real or simulated from real patterns, its publishers disagree"
    at_ms_R = received["at_ms"].to_numpy()
    source = Source(
        "complete-journey", note, fields, rows, labels, at_ms_R, received["campaign_id"].astype(int).to_numpy()
    )
    return cut(source, [int(moment) for moment in _ms(pandas.Series(EDGES))])


def _ms(dates: pandas.Series) -> np.ndarray:
    return (
        ((pandas.to_datetime(dates) - pandas.Timestamp("1970-01-01")) / pandas.Timedelta(milliseconds=1))
        .to_numpy()
        .astype(np.int64)
    )


def _of_households(received: pandas.DataFrame, files: dict[str, pandas.DataFrame]) -> Parts:
    """Return what the households did before."""
    household_N, at_ms_N = received["household_id"].to_numpy(np.int64), received["at_ms"].to_numpy()
    lines, redeemed = files["transactions"], files["coupon_redemptions"]
    who_E, at_E = lines["household_id"].to_numpy(np.int64), _ms(lines["transaction_timestamp"])
    recent_ms = RECENT_DAYS * DAY_MS
    lived_N = np.maximum(Past(who_E, at_E).sum(household_N, at_ms_N), 1)
    coupon_E = (lines["coupon_disc"] > 0).to_numpy()
    baskets = lines.drop_duplicates("basket_id")
    visits = Past(baskets["household_id"].to_numpy(np.int64), _ms(baskets["transaction_timestamp"]))
    coupons = Past(who_E, at_E, coupon_E)
    before = Past(redeemed["household_id"].to_numpy(np.int64), _ms(redeemed["redemption_date"]))
    sent = Past(household_N, at_ms_N)
    redeemed_N, sent_N = before.sum(household_N, at_ms_N), sent.sum(household_N, at_ms_N)
    distinct = redeemed.drop_duplicates(["household_id", "campaign_id"])
    won = Past(distinct["household_id"].to_numpy(np.int64), _ms(distinct["redemption_date"]))
    won_N = won.sum(household_N, at_ms_N)
    return [
        ("lines", lived_N),
        ("spent_recently", Past(who_E, at_E, lines["sales_value"].to_numpy()).sum(household_N, at_ms_N, recent_ms)),
        ("visits_recently", visits.sum(household_N, at_ms_N, recent_ms)),
        ("days_since_visit", visits.days_since(household_N, at_ms_N)),
        ("coupon_lines", coupons.sum(household_N, at_ms_N)),
        ("coupon_lines_recently", coupons.sum(household_N, at_ms_N, recent_ms)),
        ("coupon_share", coupons.sum(household_N, at_ms_N) / lived_N),
        (
            "discount_share",
            Past(who_E, at_E, (lines["retail_disc"] > 0).to_numpy()).sum(household_N, at_ms_N) / lived_N,
        ),
        ("campaigns_before", sent_N),
        ("redeemed_before", redeemed_N),
        ("campaigns_redeemed_before", won_N),
        ("campaigns_redeemed_share", (won_N + 0.12 * 3) / (sent_N + 3)),
        ("days_since_redeemed", before.days_since(household_N, at_ms_N)),
        ("demographics_known", received["household_id"].isin(files["demographics"]["household_id"]).to_numpy()),
    ]


def _of_campaigns(received: pandas.DataFrame, files: dict[str, pandas.DataFrame]) -> Parts:
    """Return what the campaigns are, and what of their products each household bought before."""
    campaign_N, household_N = received["campaign_id"].to_numpy(np.int64), received["household_id"].to_numpy(np.int64)
    at_ms_N = received["at_ms"].to_numpy()
    coupons, lines = files["coupons"], files["transactions"]
    offered = coupons[["campaign_id", "product_id"]].drop_duplicates()
    days_N = (_ms(received["end_date"]) - at_ms_N) / DAY_MS
    size_C = offered.groupby("campaign_id").size()
    coupons_C = coupons.groupby("campaign_id")["coupon_upc"].nunique()
    parts: Parts = [
        ("campaign_days", days_N),
        ("campaign_products", np.log1p(received["campaign_id"].map(size_C).to_numpy(float))),
        ("campaign_coupons", received["campaign_id"].map(coupons_C).to_numpy(float)),
        ("campaign_households", received["campaign_id"].map(received.groupby("campaign_id").size()).to_numpy(float)),
    ]
    wanted = lines[["household_id", "product_id", "transaction_timestamp", "sales_value"]]
    wanted = wanted[wanted["household_id"].isin(received["household_id"])].merge(offered)
    key_E = wanted["household_id"].to_numpy(np.int64) * 100 + wanted["campaign_id"].to_numpy(np.int64)
    key_N, at_E = household_N * 100 + campaign_N, _ms(wanted["transaction_timestamp"])
    bought = Past(key_E, at_E)
    spent = Past(key_E, at_E, wanted["sales_value"].to_numpy())
    all_lines = Past(lines["household_id"].to_numpy(np.int64), _ms(lines["transaction_timestamp"]))
    bought_N = bought.sum(key_N, at_ms_N)
    return [
        *parts,
        ("bought_offered", bought_N),
        ("bought_offered_recently", bought.sum(key_N, at_ms_N, RECENT_DAYS * DAY_MS)),
        ("bought_offered_share", bought_N / np.maximum(all_lines.sum(household_N, at_ms_N), 1)),
        ("spent_offered", spent.sum(key_N, at_ms_N)),
        ("days_since_offered", bought.days_since(key_N, at_ms_N)),
    ]
