"""F8, F9, F22, F23: events that come many times, cannot be stored, have strange names or strange times."""

import json
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.feature.stream_worker import CLAIM_IDLE_MS, MAX_DELIVERIES
from shared.contracts.events import MAX_AGE_DAYS
from shared.storage.redis.clients import sync_client
from shared.storage.redis.keys import Keys
from tests.faults.database import rows, stored
from tests.faults.stack import FaultStack
from tests.running_shop import Answer, until

AT_ONCE = 50
ITEM = "wine-plain-0"


def view(event_id: str, user: str, **fields: Any) -> dict[str, Any]:
    """Return an event."""
    return {"type": "view", "user_id": user, "item_id": ITEM, "event_id": event_id, **fields}


@pytest.mark.case("F8")
@pytest.mark.quick
def test_an_event_sent_many_times_at_once_is_one_row_and_other_content_under_its_id_is_refused(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    before, answers = stack.figures(), list[Answer]()
    together = threading.Barrier(AT_ONCE)

    def send() -> None:
        together.wait()
        answers.append(stack.post("/events", view("f8", "anna")))

    senders = [threading.Thread(target=send) for _ in range(AT_ONCE)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert Counter(answer.status for answer in answers) == {202: AT_ONCE}
    receipts = Counter("accepted" if answer.body["accepted"] else "duplicate" for answer in answers)
    assert receipts == {"accepted": 1, "duplicate": AT_ONCE - 1}
    other = stack.post("/events", view("f8", "anna", item_id="bread-plain-0"))
    assert (other.status, [entry["code"] for entry in other.body["rejected"]]) == (202, ["event_id_conflict"])
    until(lambda: stored(stack, "f8") == ["f8"])
    assert [row.item_id for row in rows(stack, "SELECT item_id FROM interactions WHERE event_id = 'f8'")] == [ITEM]
    after = stack.figures()
    counted = {
        result: after.of("events_total", result=result) - before.of("events_total", result=result)
        for result in ("accepted", "duplicate", "rejected")
    }
    assert counted == {"accepted": 1, "duplicate": AT_ONCE - 1, "rejected": 1}
    held(
        f"{AT_ONCE} at once: 1 accepted, {AT_ONCE - 1} duplicates, 1 row; other content: event_id_conflict, first kept"
    )


@pytest.mark.case("F9")
def test_an_entry_that_always_fails_is_put_aside_after_its_tries_and_delays_nobody(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    keys, before = Keys("aisle"), stack.figures("ingest")
    with sync_client(stack.stream.url) as client:
        letters: Any = client.xlen(keys.dead_events())
        client.xadd(keys.events(0), {"payload": "not an event of ours"})
        begun_s, slowest_s, sent = time.monotonic(), 0.0, 0
        while client.xlen(keys.dead_events()) == letters:
            assert time.monotonic() - begun_s < 2 * MAX_DELIVERIES * CLAIM_IDLE_MS / 1000
            sent += 1
            slowest_s = max(slowest_s, seconds_until_stored(stack, f"f9-{sent}"))
            time.sleep(0.1)
        newest: Any = client.xrevrange(keys.dead_events(), count=1)
    assert b"ValidationError" in newest[0][1][b"reason"]
    assert slowest_s < CLAIM_IDLE_MS / 1000
    figures = stack.figures("ingest")
    until(lambda: stack.figures("ingest").of("ingest_pending_entries", stream="events") == 0)
    tries = figures.of("ingest_failed_tries_total") - before.of("ingest_failed_tries_total")
    assert tries == MAX_DELIVERIES
    assert figures.of("ingest_dead_letters_total") - before.of("ingest_dead_letters_total") == 1
    held(f"{tries:.0f} tries, 1 dead letter with its reason; {sent} other events beside it, slowest {slowest_s:.2f} s")


def seconds_until_stored(stack: FaultStack, event_id: str) -> float:
    """Send an event and return how long it took to be in Postgres."""
    begun_s = time.monotonic()
    assert stack.post("/events", view(event_id, "bert")).body["accepted"] == 1
    until(lambda: stored(stack, event_id) == [event_id])
    return time.monotonic() - begun_s


@pytest.mark.case("F22")
@pytest.mark.quick
def test_strange_names_are_refused_or_keep_apart_and_no_log_line_is_injected(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    accepted = ["a:b", "a", "b:a", "*", "a*", "'; DROP TABLE interactions; --", "$3 GET a", "x" * 128, "café", "cafe"]
    refused = ["a\nb", "a\r\nX: y", "nul\0", "right\u200fleft", "bell\a", " a", "", "x" * 129]
    for place, name in enumerate(accepted):
        assert stack.post("/events", view(f"f22-{place}", name)).body["accepted"] == 1, name
        assert stack.recommend(user_id=name)["recommendations"]
    for name in refused:
        for body, path in ((view("f22-bad", name), "/events"), ({"user_id": name}, "/recommend")):
            answer = stack.post(path, body)
            assert answer.status == 422 or answer.body["rejected"][0]["code"] == "invalid_event", name
            assert name.strip() in ("", "a") or name not in json.dumps(answer.body, ensure_ascii=False)
    composed, decomposed = unicodedata.normalize("NFC", "cafe\u0301"), "cafe\u0301"
    assert stack.post("/events", view("f22-nfd", decomposed)).body["accepted"] == 1
    until(lambda: len(stored(stack, "f22-%")) == len(accepted) + 1)
    query = "SELECT user_key, count(*) AS events FROM interactions WHERE event_id LIKE 'f22-%' GROUP BY 1"
    found = {row.user_key: row.events for row in rows(stack, query)}
    assert found == {f"u:{name}": 2 if name == composed else 1 for name in accepted}
    lines = [line for log in stack.home.glob("*/logs/*.log") for line in log.read_text().splitlines()]
    assert all(line.startswith("{") for line in lines), [line for line in lines if not line.startswith("{")][:3]
    held(f"{len(accepted)} names accepted, each its own row; {len(refused)} refused without echo; no log line injected")


@pytest.mark.case("F23")
@pytest.mark.quick
def test_event_times_that_cannot_be_are_refused_and_late_ones_take_their_place(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    now = datetime.now(UTC)
    refused = {
        "naive": ("2026-01-01T00:00:00", "invalid_event"),
        "1970": ("1970-01-01T00:00:00Z", "event_too_old"),
        "in an hour": ((now + timedelta(hours=1)).isoformat(), "event_in_future"),
        "older than is kept": ((now - timedelta(days=MAX_AGE_DAYS + 1)).isoformat(), "event_too_old"),
    }
    for name, (moment, code) in refused.items():
        answer = stack.post("/events", view(f"f23-{name}", "clara", occurred_at=moment))
        assert (answer.status, answer.body["accepted"]) == (202, 0)
        assert [entry["code"] for entry in answer.body["rejected"]] == [code], name
    orders = (timedelta(minutes=-1), timedelta(days=5), timedelta(0), timedelta(days=30), timedelta(hours=2))
    for place, ago in enumerate(orders):
        sent = stack.post("/events", view(f"f23-{place}", "clara", occurred_at=(now - ago).isoformat()))
        assert sent.body["accepted"] == 1
    until(lambda: stored(stack, "f23-%") == [f"f23-{place}" for place in range(len(orders))])
    query = "SELECT event_id FROM interactions WHERE user_key = 'u:clara' ORDER BY occurred_at"
    by_time = sorted(range(len(orders)), key=lambda place: -orders[place])
    assert [row.event_id for row in rows(stack, query)] == [f"f23-{place}" for place in by_time]
    asked = {"user_key": "u:clara", "as_of_ms": int(time.time() * 1000)}
    state = stack.post("/state", asked, "feature").body
    assert state["features"]["browse_count"] == len(orders) - 1, "the one of the next minute has not happened yet"
    held(f"{len(refused)} refused by name; {len(orders)} out of order stored in their place, none seen before its time")
