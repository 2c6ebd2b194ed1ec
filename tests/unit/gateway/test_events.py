from typing import Any

import orjson
import pytest

from shared.contracts.times import epoch_ms
from shared.service.problems import ProblemError
from tests.fakes import START_MS, json_of
from tests.unit.gateway.rig import Rig

VIEW = {"type": "view", "user_id": 1, "item_id": 7}


async def accept(rig: Rig, document: Any) -> dict[str, Any]:
    async with rig.started() as gateway:
        return (await gateway.gateway.events.accept(document)).model_dump()


@pytest.mark.parametrize("document", [VIEW, [VIEW], {"events": [VIEW]}])
async def test_one_event_an_array_and_an_object_with_events_are_the_same(rig: Rig, document: Any) -> None:
    assert await accept(rig, document) == {"accepted": 1, "duplicates": 0, "rejected": []}
    (event,) = rig.events.events
    (line,) = event.lines
    assert (line.user_key, line.item_id, line.quantity) == ("u:1", "7", 1.0)
    assert epoch_ms(line.occurred_at) == epoch_ms(line.received_at) == START_MS


async def test_a_visitors_events_are_kept_apart_from_an_account_of_the_same_name(rig: Rig) -> None:
    await accept(rig, [{"type": "view", "visitor_id": 1, "item_id": 7}, VIEW])
    assert [event.lines[0].user_key for event in rig.events.events] == ["v:1", "u:1"]


async def test_a_basket_becomes_one_line_for_each_item_under_numbered_ids(rig: Rig) -> None:
    items = [{"item_id": 7, "quantity": 2, "price": 9.5}, {"item_id": 8}]
    await accept(rig, {"type": "purchase", "user_id": 1, "event_id": "e1", "order_id": "o1", "items": items})
    (event,) = rig.events.events
    assert [line.event_id for line in event.lines] == ["e1#1", "e1#2"]
    assert [(line.item_id, line.quantity, line.price) for line in event.lines] == [("7", 2.0, 9.5), ("8", 1.0, None)]
    assert {line.order_id for line in event.lines} == {"o1"}
    assert {line.content_hash for line in event.lines} == {event.content_hash}


async def test_segments_names_are_accepted(rig: Rig) -> None:
    await accept(rig, {"type": "Order Completed", "user_id": 1, "items": [{"item_id": 7}]})
    assert rig.events.events[0].lines[0].type == "purchase"


async def test_bad_events_are_named_one_by_one_and_do_not_harm_the_good(rig: Rig) -> None:
    hour_ms = 3_600_000
    bad: list[tuple[dict[str, Any], str, str]] = [
        ({**VIEW, "type": "looked"}, "invalid_event", "type"),
        ({"type": "view", "item_id": 7}, "invalid_event", ""),
        ({"type": "view", "user_id": 1}, "invalid_event", ""),
        ({**VIEW, "tpye": "view"}, "invalid_event", "tpye"),
        ({**VIEW, "occurred_at": "2026-03-14T18:30:00"}, "invalid_event", "occurred_at"),
        ({**VIEW, "occurred_at": START_MS + hour_ms}, "event_in_future", "occurred_at"),
        ({**VIEW, "occurred_at": 0}, "event_too_old", "occurred_at"),
        ({**VIEW, "items": [{"item_id": 8, "quantity": -1}], "item_id": None}, "invalid_event", "items.0.quantity"),
        ({**VIEW, "user_id": "a\nb"}, "invalid_event", "user_id"),
        ({**VIEW, "user_id": "x" * 129}, "invalid_event", "user_id"),
    ]
    documents: list[Any] = [entry for entry, _, _ in bad]
    receipt = await accept(rig, [VIEW, *documents, 5, {**VIEW, "occurred_at": START_MS + 60_000}])
    assert receipt["accepted"] == 2
    found = [(entry["index"], entry["code"], entry["field"]) for entry in receipt["rejected"]]
    expected = [(place, code, name) for place, (_, code, name) in enumerate(bad, start=1)]
    assert found == [*expected, (len(bad) + 1, "invalid_event", "")]
    assert "looked" not in str(receipt)


async def test_the_same_event_again_is_a_duplicate_and_other_content_under_its_id_a_conflict(rig: Rig) -> None:
    event = {**VIEW, "event_id": "e1"}
    other = {**event, "item_id": 8}
    receipt = await accept(rig, [event, event, other])
    assert (receipt["accepted"], receipt["duplicates"]) == (1, 1)
    assert [(entry["index"], entry["code"]) for entry in receipt["rejected"]] == [(2, "event_id_conflict")]
    rig.clock.advance(5)
    assert (await accept(rig, event))["duplicates"] == 1
    assert [stored.lines[0].item_id for stored in rig.events.events] == ["7"]


async def test_events_without_an_id_get_one_each(rig: Rig) -> None:
    await accept(rig, [VIEW, VIEW])
    assert len({event.event_id for event in rig.events.events}) == 2


@pytest.mark.parametrize("document", [5, "view", None, {"events": VIEW}, {"events": [], "x": 1}, [VIEW] * 1001])
async def test_a_body_that_is_no_batch_of_events_is_refused_as_a_whole(rig: Rig, document: Any) -> None:
    with pytest.raises(ProblemError) as refusal:
        await accept(rig, document)
    assert refusal.value.status == 422
    assert not rig.events.events


async def test_an_empty_batch_is_fine(rig: Rig) -> None:
    assert await accept(rig, []) == {"accepted": 0, "duplicates": 0, "rejected": []}


async def test_with_the_stream_away_events_go_to_the_database_through_feature(rig: Rig) -> None:
    rig.events.down = True
    rig.feature.on("POST", "/events/insert", lambda _: json_of({"inserted": 2}))
    receipt = await accept(rig, {"type": "purchase", "user_id": 1, "items": [{"item_id": 7}, {"item_id": 8}]})
    assert receipt["accepted"] == 1
    (body,) = rig.feature.calls["POST", "/events/insert"]
    assert [line["item_id"] for line in orjson.loads(body or b"")] == ["7", "8"]


@pytest.mark.parametrize("answer", [None, json_of({}, 500), json_of({}, 422)])
async def test_what_cannot_be_stored_at_all_is_a_503_with_retry_after_and_never_a_202(rig: Rig, answer: Any) -> None:
    rig.events.down = True
    rig.feature.down = answer is None
    rig.feature.on("POST", "/events/insert", lambda _: answer)
    with pytest.raises(ProblemError) as refusal:
        await accept(rig, VIEW)
    assert refusal.value.status == 503
    assert "retry-after" in refusal.value.headers
