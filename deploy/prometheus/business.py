"""What the lists bring, as recording rules: rates a dashboard can show without long queries.

Called by   build.py (writes rules/business.yml)
Exact       `aisle metrics` counts from the stored log; these are the live figures of the ingest worker
"""

from typing import Any

Rule = dict[str, Any]

BY = "by (scenario, model, arm)"
RATIOS = {
    "aisle:ctr:ratio_rate1h": ("aisle_clicks_total", "aisle_items_shown_total"),
    "aisle:cvr:ratio_rate1h": ("aisle_purchases_total", "aisle_clicks_total"),
    "aisle:purchases_per_item_shown:ratio_rate1h": ("aisle_purchases_total", "aisle_items_shown_total"),
}
RATES = {
    "aisle:revenue:rate1h": "aisle_revenue_total",
    "aisle:lists_shown:rate1h": "aisle_lists_shown_total",
}


def business_groups() -> list[Rule]:
    """Return the groups of rules/business.yml."""
    ratios = [
        {"record": name, "expr": f"sum {BY} (rate({above}[1h])) / (sum {BY} (rate({below}[1h])) > 0)"}
        for name, (above, below) in RATIOS.items()
    ]
    rates = [{"record": name, "expr": f"sum {BY} (rate({counter}[1h]))"} for name, counter in RATES.items()]
    return [{"name": "aisle-business", "interval": "1m", "rules": [*ratios, *rates]}]
