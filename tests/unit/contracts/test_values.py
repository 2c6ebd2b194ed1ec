"""Free fields hold what every store can keep and give back; what cannot be is refused at the border."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.catalogue import Item, ItemPatch
from shared.contracts.events import Event
from shared.contracts.recommendation import Context
from shared.contracts.users import User

EVENT = {"type": "view", "user_id": 1, "item_id": 1}


@pytest.mark.parametrize("value", ["a\x00b", 1e300, -1e19, 2**63, {"deep": [{"er": 1e30}]}, {"a\x00": 1}])
def test_free_json_that_a_store_could_not_keep_is_refused(value: Any) -> None:
    for model, fields in (
        (Item, {"item_id": 1, "attributes": {"a": value}}),
        (ItemPatch, {"attributes": {"a": value}}),
        (Event, {**EVENT, "context": {"a": value}}),
        (Context, {"a": value}),
    ):
        with pytest.raises(ValidationError):
            model.model_validate(fields)
    if not isinstance(value, dict):
        with pytest.raises(ValidationError):
            User.model_validate({"user_id": 1, "attributes": {"a": value}})


@pytest.mark.parametrize("value", ["a\nb", "", 2**63 - 1, -(2**63) + 1, 1e18, 1e-300, True, None, [[], {}]])
def test_free_json_that_a_store_can_keep_is_taken_as_it_is(value: Any) -> None:
    assert Item.model_validate({"item_id": 1, "attributes": {"a": value}}).attributes == {"a": value}
    assert Event.model_validate({**EVENT, "context": {"a": value}}).context == {"a": value}


@pytest.mark.parametrize("name", ["title", "description", "brand", "image_url"])
def test_text_of_an_item_holds_no_nul_and_may_hold_anything_else(name: str) -> None:
    with pytest.raises(ValidationError):
        ItemPatch.model_validate({name: "a\x00b"})
    assert getattr(ItemPatch.model_validate({name: "a\n\x18é\u202e"}), name) == "a\n\x18é\u202e"


def test_moments_are_kept_in_utc_whatever_the_offset_and_refused_when_they_have_no_place_in_it() -> None:
    far = Item.model_validate({"item_id": 1, "created_at": "2026-03-01T03:00:00-19:06"})
    assert far.created_at == datetime(2026, 3, 1, 22, 6, tzinfo=UTC)
    assert far.created_at.utcoffset() == datetime.now(UTC).utcoffset()
    for moment in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-03-01T03:00:00"):
        with pytest.raises(ValidationError):
            Item.model_validate({"item_id": 1, "created_at": moment})
        with pytest.raises(ValidationError):
            Event.model_validate({**EVENT, "occurred_at": moment})
