"""X6: the gateway's clock is an hour wrong; lists go on, and no event is stored under a time that cannot be."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from deploy.local.ports import free_port
from deploy.local.stack import SERVICE_MODULES
from tests.faults.database import rows, stored
from tests.faults.stack import FaultStack
from tests.faults.traffic import Traffic
from tests.running_shop import until

HOUR_MS = 3_600_000


@pytest.mark.case("X6")
@pytest.mark.parametrize("shift_ms", [HOUR_MS, -HOUR_MS])
def test_a_gateway_with_a_wrong_clock_gives_full_lists_and_refuses_what_it_takes_for_the_future(
    stack: FaultStack, held: Callable[[str], None], shift_ms: int
) -> None:
    port, prefix = free_port(), f"x6-{'ahead' if shift_ms > 0 else 'behind'}"
    command = [sys.executable, "-m", "tests.faults.shifted", SERVICE_MODULES["gateway"], str(shift_ms)]
    gateway = stack.child("gateway", port, command)
    stack.urls["shifted"] = f"http://127.0.0.1:{port}"
    try:
        gateway.start()
        with Traffic(stack, 4, port=port) as traffic:
            now = datetime.now(UTC).isoformat()
            event = {"type": "view", "user_id": prefix, "item_id": "wine-plain-0"}
            timed = stack.post("/events", event | {"event_id": f"{prefix}-timed", "occurred_at": now}, "shifted").body
            untimed = stack.post("/events", event | {"event_id": f"{prefix}-untimed"}, "shifted").body
    finally:
        gateway.stop()
        del stack.urls["shifted"]
    in_time = traffic.in_time()
    assert traffic.seen.degraded == {}
    assert untimed["accepted"] == 1
    accepted = [f"{prefix}-timed"] * timed["accepted"] + [f"{prefix}-untimed"]
    assert [entry["code"] for entry in timed["rejected"]] == ([] if shift_ms > 0 else ["event_in_future"])
    until(lambda: stored(stack, f"{prefix}-%") == accepted)
    query = (
        "SELECT count(*) AS late FROM interactions WHERE event_id = :id AND occurred_at > now() + interval '61 minutes'"
    )
    assert rows(stack, query, id=f"{prefix}-untimed")[0].late == 0
    said = f"{len(accepted)} events accepted, {len(accepted)} stored"
    held(f"an hour {prefix.removeprefix('x6-')}: {in_time}, none lesser; {said}")
