"""Operations on a running platform: metrics are exposed, rules evaluate, an outage pages, a rollback takes seconds."""

import json
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.grafana.build import FOLDER as DASHBOARDS
from deploy.grafana.build import dashboard_files
from deploy.grafana.panels import INTERVAL
from deploy.grafana.render import Prometheus, draw
from deploy.prometheus.build import as_yaml, rule_files
from deploy.prometheus.slos import Burn, promise_groups
from tests.e2e.running_platform import Platform
from tests.monitoring.prometheus_server import PrometheusServer
from tests.running_shop import until

# In a test an hour is twenty seconds.
SHORT_BURNS = (Burn("16s", "8s", 14.4, "page", 5), Burn("24s", "12s", 6, "page", 5))
JOBS = ("gateway", "feature", "ingest", "ranking", "training")
BUILT_IN = {"up", "ALERTS"}

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus (Debian) is missing")


@dataclass
class Traffic:
    """Shoppers who ask for lists, click and buy, until told to stop."""

    platform: Platform
    stopping: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    seen: dict[str, Any] = field(default_factory=lambda: {"recommendations": []})
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self._visit()
        except BaseException as error:
            self.error = error
            raise

    def _visit(self) -> None:
        while not self.stopping.wait(0.08):
            self.asked += 1
            user = f"shopper-{self.asked % 7}"
            # Another query each time, so that no list comes from the cache.
            answer = self.platform.recommend(user_id=user, context={"query": f"q{self.asked}"})
            self._act(user)
            self.seen = answer

    def _act(self, user: str) -> None:
        """Click and buy in the list before, as somebody does who first reads it."""
        listed = [item["item_id"] for item in self.seen["recommendations"]]
        if listed and self.asked % 3 == 0:
            self._tell(user, {"type": "click", "item_id": listed[0]})
        if listed and self.asked % 9 == 0:
            self._tell(user, {"type": "purchase", "items": [{"item_id": listed[0], "quantity": 2, "price": 4.5}]})

    def _tell(self, user: str, event: dict[str, Any]) -> None:
        named = event | {"user_id": user, "recommendation_id": self.seen["recommendation_id"]}
        assert self.platform.post("/events", named).status == 202


@pytest.fixture(scope="module")
def platform(store_home: Path) -> Iterator[Platform]:
    platform = Platform(store_home / "monitored" / ".aisle")
    platform.open_shop()
    traffic = Traffic(platform)
    thread = threading.Thread(target=traffic.run)
    thread.start()
    yield platform
    traffic.stopping.set()
    thread.join()
    assert traffic.error is None, traffic.error
    assert platform.aisle("down").returncode == 0
    shutil.rmtree(platform.home.parent, ignore_errors=True)


def address_of(platform: Platform, name: str) -> str:
    if name == "ingest":
        return f"127.0.0.1:{platform.environment['AISLE_INGEST_PORT']}"
    return platform.urls[name].removeprefix("http://")


@pytest.fixture(scope="module")
def prometheus(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    targets = {f"aisle-{name}": address_of(platform, name) for name in JOBS}
    rules = rule_files()
    rules["short.yml"] = as_yaml({"groups": [_renamed(group) for group in promise_groups(SHORT_BURNS)]})
    server = PrometheusServer(tmp_path_factory.mktemp("prometheus"), targets, rules)
    server.start()
    until(server.is_ready)
    yield server
    server.stop()


def _renamed(group: dict[str, object]) -> dict[str, object]:
    return group | {"name": f"short-{group['name']}"}


def exposed(platform: Platform) -> set[str]:
    """Return the name of every metric and series that a process exposes, with traffic or without."""
    names: set[str] = set()
    for name in JOBS:
        with urllib.request.urlopen(f"http://{address_of(platform, name)}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for metric, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
            names.add(metric)
            if kind == "histogram":
                names |= {f"{metric}_{part}" for part in ("bucket", "sum", "count")}
    return names


def names_in(expression: str) -> set[str]:
    """Return the metrics a query reads; ValueError when it is no PromQL."""
    found: set[str] = set()
    pending = [promql_parser.parse(expression.replace(INTERVAL, "1m"))]
    while pending:
        node = pending.pop()
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)
        for part in ("lhs", "rhs", "expr", "vector_selector", "args"):
            child = getattr(node, part, None)
            pending += child if isinstance(child, list) else [child] if child is not None else []
    return found


def queries_of_dashboards() -> list[str]:
    documents = [json.loads(text) for text in dashboard_files().values()]
    return [target["expr"] for found in documents for panel in found["panels"] for target in panel["targets"]]


def recorded_names() -> set[str]:
    groups = [group for text in rule_files().values() for group in yaml.safe_load(text)["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def test_the_dashboards_are_those_that_the_definitions_make() -> None:
    assert {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")} == dashboard_files()


def test_a_query_that_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        names_in("sum(rate(aisle_x[1m])")
    assert names_in("sum by (le) (rate(a_bucket{b='c'}[1m])) / (d:e > 0) or vector(0)") == {"a_bucket", "d:e"}


def test_every_metric_of_a_dashboard_or_a_rule_is_exposed_by_a_running_service(platform: Platform) -> None:
    known = exposed(platform) | recorded_names() | BUILT_IN
    rules = [
        rule for text in rule_files().values() for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
    ]
    for expression in (*queries_of_dashboards(), *(rule["expr"] for rule in rules)):
        assert names_in(expression) <= known, expression


@needs_prometheus
def test_every_process_is_scraped_and_every_rule_evaluates(prometheus: PrometheusServer) -> None:
    jobs = {f"aisle-{name}" for name in JOBS}
    # A starved machine may miss one scrape of a second.
    until(lambda: {labels["job"] for labels, _ in prometheus.query("max_over_time(up[10s]) == 1")} == jobs)
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
    assert [rule["name"] for rule in prometheus.rules() if rule.get("lastError")] == []


@needs_prometheus
def test_what_shoppers_do_arrives_in_the_business_figures(prometheus: PrometheusServer) -> None:
    for name in ("lists_shown", "items_shown", "clicks", "purchases", "revenue"):
        until(lambda name=name: sum(value for _, value in prometheus.query(f"aisle_{name}_total")) > 0)  # type: ignore[misc]
    ratio = "sum by (scenario) (aisle_clicks_total) / sum by (scenario) (aisle_items_shown_total)"
    # One click in every third list of five.
    until(lambda: [labels for labels, rate in prometheus.query(ratio) if 0.04 < rate < 0.09] == [{"scenario": "home"}])


@needs_prometheus
def test_a_dashboard_can_be_drawn_from_its_data(prometheus: PrometheusServer, tmp_path: Path) -> None:
    from deploy.grafana.dashboards import SHOPPERS

    now_s = time.time()
    draw(SHOPPERS, Prometheus(prometheus.url, now_s - 20, now_s, "5s"), tmp_path / "shoppers.png")
    assert (tmp_path / "shoppers.png").stat().st_size > 20_000


def test_a_rollback_lets_the_former_model_serve_within_a_minute_and_fails_no_request(platform: Platform) -> None:
    former = platform.get("/model", "ranking").body["version"]
    newer = platform.publish(seed=1)
    until(lambda: platform.serves(newer))
    # The traffic asserts that every answer is a 200.
    begun_s = time.monotonic()
    done = platform.aisle("rollback")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun_s < 60
    assert platform.serves(former)
    assert former in done.stdout
    assert newer in done.stdout


@needs_prometheus
def test_ranking_killed_pages_that_shoppers_get_degraded_lists_and_nothing_else(
    platform: Platform, prometheus: PrometheusServer
) -> None:
    until(
        lambda: prometheus.query("aisle:personalised:bad_ratio_rate8s") == [({"slo": "personalised"} | _named(8), 0.0)]
    )
    windows = [burn.long for burn in SHORT_BURNS]
    assert prometheus.paging(*windows) == set()

    def pages() -> set[str]:
        if platform.child("ranking").identity.is_alive():
            platform.kill("ranking")  # the supervisor brings it back; the outage shall last
        return prometheus.paging(*windows)

    until(lambda: "RecommendPersonalisedBurns" in pages(), timeout_s=60)
    # Degraded lists are answered, and in time.
    assert pages() == {"RecommendPersonalisedBurns"}


def _named(seconds: int) -> dict[str, str]:
    return {"__name__": f"aisle:personalised:bad_ratio_rate{seconds}s"}
