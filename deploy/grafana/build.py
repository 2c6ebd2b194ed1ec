"""Write dashboards/*.json from dashboards.py: `python -m deploy.grafana.build`.

Called by   hand, after a change; a test compares the files with what this would write
Source      Grafana documentation, "Dashboard JSON model"; schema version 39 is read by Grafana 10 and later
"""

import json
import sys
from pathlib import Path
from typing import Any

from deploy.grafana.dashboards import DASHBOARDS
from deploy.grafana.panels import Dashboard, Panel

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "aisle-prometheus"}
"""the data source of provisioning/datasources/prometheus.yml"""
SCHEMA_VERSION = 39
COLUMNS = 24
STAT_SIZE, CHART_SIZE = (6, 4), (12, 8)


def dashboard_files() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {f"{found.name}.json": json.dumps(as_grafana(found), indent=1) + "\n" for found in DASHBOARDS}


def as_grafana(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana keeps it."""
    return {
        "uid": f"aisle-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.question,
        "tags": ["aisle"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": _placed(dashboard),
    }


def _placed(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Return the panels in reading order, left to right."""
    placed, left, top = [], 0, 0
    row_height = 0
    for number, panel in enumerate(dashboard.panels, start=1):
        width, height = STAT_SIZE if panel.kind == "stat" else CHART_SIZE
        if left + width > COLUMNS or (row_height and height != row_height):
            left, top, row_height = 0, top + row_height, 0
        placed.append(_panel(number, panel) | {"gridPos": {"x": left, "y": top, "w": width, "h": height}})
        left, row_height = left + width, height
    return placed


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    thresholds = [{"color": "green", "value": None}]
    if panel.limit is not None:
        thresholds.append({"color": "red", "value": panel.limit})
    custom = {"stacking": {"mode": "normal" if panel.stacked else "none"}, "fillOpacity": 20 if panel.stacked else 0}
    if panel.limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": thresholds}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": defaults | ({"custom": custom} if panel.kind == "timeseries" else {}),
            "overrides": [],
        },
        "options": {"textMode": "value_and_name"} if panel.kind == "stat" else {"legend": {"displayMode": "list"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "instant": panel.kind == "stat",
            }
            for place, query in enumerate(panel.queries)
        ],
    }


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboard_files().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
