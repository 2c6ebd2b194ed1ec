"""The arrows of the architecture, and the arrows that the network policies allow.

Called by   test_network.py
Arrow       (from, to, port), by the names of pods
"""

from tests.manifests.cluster import NAME, Cluster, Manifest, labels_of, selects

Arrow = tuple[str, str, int]
TRAINERS = ("training", "nightly-training", "distributed-training")
READERS_OF_POSTGRES = ("feature", "ingest", "ranking", "migrations", *TRAINERS)
READERS_OF_THE_STREAM = ("gateway", "feature", "ingest", "ranking", *TRAINERS)
# Section 1 of the architecture: what a request and an event may touch, and nothing else.
ARCHITECTURE: frozenset[Arrow] = frozenset(
    {("gateway", "feature", 8001), ("gateway", "ranking", 8002)}
    | {(name, "postgres", 5432) for name in READERS_OF_POSTGRES}
    | {(name, "redis-stream", 6379) for name in READERS_OF_THE_STREAM}
    | {(name, "redis-cache", 6379) for name in ("gateway", "feature", "ingest")}
)


def allowed(cluster: Cluster, direction: str) -> set[Arrow]:
    """Return the arrows between pods of the cluster that one end, "ingress" or "egress", allows."""
    peer_word = "from" if direction == "ingress" else "to"
    arrows = set()
    for policy in cluster.kind("NetworkPolicy"):
        for rule in policy["spec"].get(direction, []):
            ends = {
                (own, peer)
                for own in _pods(cluster, policy["spec"]["podSelector"])
                for each in rule.get(peer_word, [])
                if "podSelector" in each and "namespaceSelector" not in each
                for peer in _pods(cluster, each["podSelector"])
            }
            ports = [port["port"] for port in rule.get("ports", [])]
            for own, peer in ends:
                arrows |= {((peer, own) if direction == "ingress" else (own, peer)) + (port,) for port in ports}
    return arrows


def _pods(cluster: Cluster, selector: Manifest) -> set[str]:
    return {labels_of(each)[NAME] for each in cluster.workloads() if selects(selector, labels_of(each))}
