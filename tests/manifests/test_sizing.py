"""The sizing table is what the script prints from the measured figures, and moves with them."""

from dataclasses import replace

from deploy.sizing import FEWEST, measured, peak_per_s, replicas, table
from tests.manifests.cluster import ROOT, Cluster


def test_the_page_holds_the_table_that_the_script_prints() -> None:
    assert table(measured()) in (ROOT / "deploy" / "README.md").read_text()


def test_half_the_measured_rate_needs_twice_the_replicas() -> None:
    costs = measured()
    slower = replace(costs, answers_per_s=costs.answers_per_s / 2)
    peak = peak_per_s(50_000_000)
    assert replicas(peak, slower)["ranking"] >= 2 * replicas(peak, costs)["ranking"] - 1


def test_a_small_shop_gets_the_fewest_replicas_of_the_cluster() -> None:
    assert replicas(peak_per_s(10), measured()) == FEWEST
    cluster = Cluster.of("prod")
    fewest = {name: cluster.get("HorizontalPodAutoscaler", name)["spec"]["minReplicas"] for name in FEWEST}
    assert fewest == FEWEST
