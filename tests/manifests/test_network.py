"""The network lets through the arrows of the architecture and no other, and both ends of each agree."""

from tests.manifests.arrows import ARCHITECTURE, allowed
from tests.manifests.cluster import NAME, Cluster, labels_of


def _of_this(cluster: Cluster) -> set[tuple[str, str, int]]:
    names = {labels_of(each)[NAME] for each in cluster.workloads()}
    return {arrow for arrow in ARCHITECTURE if names >= {arrow[0], arrow[1]}}


def test_both_ends_of_every_arrow_allow_it_and_nothing_else() -> None:
    for overlay in ("dev", "prod"):
        cluster = Cluster.of(overlay)
        assert allowed(cluster, "ingress") == _of_this(cluster)
        assert allowed(cluster, "egress") == _of_this(cluster)


def test_an_arrow_that_only_one_end_allows_is_seen() -> None:
    cluster = Cluster.of("dev")
    cluster.get("NetworkPolicy", "ranking")["spec"].pop("ingress")
    assert ("gateway", "ranking", 8002) not in allowed(cluster, "ingress")
    assert ("gateway", "ranking", 8002) in allowed(cluster, "egress")


def test_names_are_resolved_although_all_is_denied() -> None:
    policy = Cluster.of("prod").get("NetworkPolicy", "allow-names")
    assert policy["spec"]["podSelector"] == {}
    assert {port["port"] for port in policy["spec"]["egress"][0]["ports"]} == {53}


def test_only_the_gateway_is_reachable_from_outside_and_only_for_shoppers() -> None:
    cluster = Cluster.of("prod")
    (ingress,) = cluster.kind("Ingress")
    backends = [path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert {backend["name"] for backend in backends} == {"gateway"}
    assert ingress["spec"]["tls"]
