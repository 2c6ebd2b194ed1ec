"""F10 to F13 and F15: models that must not serve, models that change under load, a ranking process that is new."""

import http.client
import json
import pickle
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.ports import LOOPBACK, free_port
from shared.models.bundle import ITEM_TABLE, version_of
from tests.damaged_bundles import (
    DAMAGES,
    Canary,
    of_other_features,
    put_a_pickle_beside,
    reorder_the_vocabulary,
    write_one_row_short,
)
from tests.faults.stack import FaultStack
from tests.faults.traffic import RATE, Traffic
from tests.running_shop import until
from tests.tiny_bundle import publish_tiny

SWAPS = 20
FIRST = 100
SAME_SCORE = 1e-3
"""as near as a model has to come to its own golden request"""


class Refusals:
    """Points at bundles that must not serve, and sees that the model which serves goes on."""

    def __init__(self, stack: FaultStack) -> None:
        self._stack = stack
        self._good = stack.get("/model", "ranking").body["version"]

    def refused(self, version: str, reason: str) -> None:
        """Assert that a version is refused with its reason, and costs nobody anything."""
        stack, before = self._stack, self._failures(reason)
        stack.point_at(version)
        until(lambda: self._failures(reason) > before, 10)
        card = stack.get("/model", "ranking").body
        assert (card["version"], card["refused"]) == (self._good, {"version": version, "reason": reason})
        assert stack.get("/readyz", "ranking").status == 200
        reply = stack.recommend(user_id="somebody", context={"query": version})
        assert (reply["model"]["version"], reply["served_from"]) == (self._good, "live")
        stack.point_at(self._good)

    def _failures(self, reason: str) -> float:
        return self._stack.figures("ranking").of("model_load_failures_total", reason=reason)


@pytest.fixture
def refusals(stack: FaultStack) -> Refusals:
    return Refusals(stack)


def publish_damaged(stack: FaultStack, seed: int, damage: Callable[[Path], None]) -> str:
    """Put a bundle into the store and damage it there; return its version, that of what it now is if it can say one."""
    folder = stack.bundles / publish_tiny(stack.bundles, seed)
    damage(folder)
    return folder.name


@pytest.mark.case("F10")
def test_a_damaged_model_is_refused_by_name_and_the_one_before_serves_on(
    stack: FaultStack, refusals: Refusals, held: Callable[[str], None]
) -> None:
    damages = [(damage, reason) for damage, reason in DAMAGES if damage is not put_a_pickle_beside]
    for seed, (damage, reason) in enumerate(damages, start=100):
        refusals.refused(publish_damaged(stack, seed, damage), reason)
    # A whole bundle under the name of another: the pointer says what its manifest does not.
    other = stack.bundles / publish_tiny(stack.bundles, 110)
    renamed = other.rename(stack.bundles / "0123456789abcdef")
    refusals.refused(renamed.name, "manifest")
    held(f"{len(damages) + 1} damaged bundles refused with {len({reason for _, reason in damages}) + 1} reasons")


@pytest.mark.case("F11")
def test_a_pickle_is_refused_and_never_opened(
    stack: FaultStack, refusals: Refusals, held: Callable[[str], None], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    payload = pickle.dumps(Canary(canary))
    refusals.refused(
        publish_damaged(stack, 120, lambda folder: (folder / "model.pkl").write_bytes(payload) and None), "foreign_file"
    )
    refusals.refused(
        publish_damaged(stack, 121, lambda folder: (folder / ITEM_TABLE).write_bytes(payload) and None), "corrupt"
    )
    assert not canary.exists()
    pickle.loads(payload)  # noqa: S301 - our own: the canary sings when somebody does open it
    assert canary.exists()
    held("a pickle beside the tables and one in place of a table refused; neither was opened")


@pytest.mark.case("F12")
def test_other_features_or_another_vocabulary_are_refused_at_load(
    stack: FaultStack, refusals: Refusals, held: Callable[[str], None], tmp_path: Path
) -> None:
    refusals.refused(of_other_features(stack.bundles, tmp_path), "schema")
    folder = stack.bundles / publish_tiny(stack.bundles, 130)
    reorder_the_vocabulary(folder)
    refusals.refused(folder.rename(stack.bundles / version_of(folder)).name, "vocabulary")
    short = write_one_row_short(tmp_path / "short")
    (tmp_path / "short").rename(stack.bundles / short)
    refusals.refused(short, "vocabulary")
    held("other feature definitions, another vocabulary and a table one row short refused before any request")


@pytest.mark.case("F13")
def test_models_swapped_back_and_forth_under_load_fail_no_request_and_never_mix(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    versions = [stack.get("/model", "ranking").body["version"], publish_tiny(stack.bundles, 1)]
    lists, scores = defaultdict[str, set[str]](set), defaultdict[str, list[list[float]]](list)

    def heard(answer: dict[str, Any]) -> None:
        version = answer["model"]["version"]
        lists[version].add(json.dumps([item["item_id"] for item in answer["recommendations"]]))
        scores[version].append([item["score"] for item in answer["recommendations"]])

    def asked(number: int) -> dict[str, Any]:
        # One shopper nothing is known of, in contexts that change no score: what differs is the model's.
        return {"user_id": "f13", "num_items": 5, "context": {"query": f"f13-{number}"}, "return": {"scores": True}}

    with Traffic(stack, 45, asked, heard=heard) as traffic:
        ends_s = time.monotonic() + 44
        for swap in range(SWAPS):
            wanted = versions[(swap + 1) % 2]
            stack.point_at(wanted)
            until(lambda wanted=wanted: stack.serves(wanted), 10)  # type: ignore[misc]
        assert time.monotonic() < ends_s, "the swaps took longer than the load"
    in_time = traffic.in_time()
    assert traffic.seen.degraded == {}
    assert set(lists) == set(versions)
    assert [len(found) for found in lists.values()] == [1, 1], "a version answered with two lists"
    # Newness and hours go on while the load runs, by far less than the models differ.
    spread = max(float(np.ptp(found, axis=0).max()) for found in scores.values())
    apart = float(np.abs(np.subtract(*(np.mean(scores[version], axis=0) for version in versions))).max())
    assert spread <= SAME_SCORE < apart
    loads = stack.figures("ranking").of("model_loads_total")
    assert loads >= SWAPS
    held(f"{SWAPS} swaps, {in_time}, each of one version and with its scores")


@pytest.mark.case("F15")
def test_a_new_ranking_process_is_not_ready_before_it_is_warm(stack: FaultStack, held: Callable[[str], None]) -> None:
    port = free_port()
    newcomer = stack.child("ranking", port)
    body = json.dumps(rank_request(stack)).encode()
    rank_times_ms(stack, stack.ports["ranking"], body, 50)
    steady_p99_ms = float(np.percentile(rank_times_ms(stack, stack.ports["ranking"], body, 3 * FIRST), 99))
    try:
        ready_s = newcomer.start()
        first_ms = rank_times_ms(stack, port, body, FIRST)
        assert stack.figures("ranking", port).of("model_loads_total") == 1
    finally:
        newcomer.stop()
    first_p99_ms = float(np.percentile(first_ms, 99))
    assert first_p99_ms <= 2 * steady_p99_ms
    assert first_ms[0] <= 2 * steady_p99_ms
    held(f"ready after {ready_s:.1f} s; p99 of its first {FIRST} {first_p99_ms:.1f} ms, steady {steady_p99_ms:.1f} ms")


def rank_request(stack: FaultStack) -> dict[str, Any]:
    """Return what the gateway sends for a shopper of whom something is known."""
    as_of_ms = int(time.time() * 1000)
    state = stack.post("/state", {"user_key": "u:shopper-1", "as_of_ms": as_of_ms}, "feature").body
    return {"num_items": 5, "as_of_ms": as_of_ms, "scenario": "home", "arms": {}, "state": state}


def rank_times_ms(stack: FaultStack, port: int, body: bytes, number: int) -> list[float]:
    """Ask one ranking process at the rate of the traffic; return how long each answer took."""
    headers = {**stack.credentials, "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    took_ms = []
    for _ in range(number):
        begun_s = time.perf_counter()
        connection.request("POST", "/rank", body, headers)
        answer = connection.getresponse()
        answer.read()
        took_ms.append((time.perf_counter() - begun_s) * 1000)
        assert answer.status == 200
        time.sleep(0.2 / RATE)
    connection.close()
    return took_ms
