"""What a shop tells Aisle about its shoppers: the event, its types, and the receipt.

Called by   services/gateway (parse, answer), services/feature (store), services/training (import)
Errors      pydantic.ValidationError; the gateway maps each to a rejected entry of the receipt
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from shared.contracts.identifiers import Identifier
from shared.contracts.strict import InternalModel, PublicModel
from shared.contracts.values import JsonObject, Moment

MAX_EVENTS_PER_REQUEST = 1000
MAX_FUTURE_S = 5 * 60
MAX_AGE_DAYS = 2 * 365


class EventType(StrEnum):
    """What a shopper did. The order is part of stored data (see EVENT_TYPE_CODES): append only."""

    IMPRESSION = "impression"
    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    WISHLIST = "wishlist"
    PURCHASE = "purchase"
    REFUND = "refund"
    RATING = "rating"
    HIDE = "hide"
    SEARCH = "search"


EVENT_TYPE_CODES = {event_type: code for code, event_type in enumerate(EventType)}
EVENT_TYPES = tuple(EventType)

# Segment's names for the same things (Segment, "E-commerce events" specification).
SEGMENT_ALIASES = {
    "Product Viewed": EventType.VIEW,
    "Product Clicked": EventType.CLICK,
    "Product Added": EventType.ADD_TO_CART,
    "Product Removed": EventType.REMOVE_FROM_CART,
    "Product Added to Wishlist": EventType.WISHLIST,
    "Order Completed": EventType.PURCHASE,
    "Order Refunded": EventType.REFUND,
    "Product Reviewed": EventType.RATING,
    "Products Searched": EventType.SEARCH,
    "Product List Viewed": EventType.IMPRESSION,
}


class EventLine(PublicModel):
    """One product of an event that names several: a basket line, an item shown in a list."""

    item_id: Identifier
    quantity: float = Field(default=1.0, gt=0, le=1e6)
    price: float | None = Field(default=None, ge=0, le=1e9, description="per unit, in the event's currency")
    position: int | None = Field(default=None, ge=1, le=1000)


class Event(PublicModel):
    """One thing a shopper did. With `items` it is stored as one interaction for each line."""

    event_id: Identifier | None = Field(default=None, description="idempotency key; made if absent")
    type: EventType
    user_id: Identifier | None = None
    visitor_id: Identifier | None = None
    session_id: Identifier | None = None
    item_id: Identifier | None = None
    items: list[EventLine] = Field(default=[], max_length=200)
    occurred_at: Moment | None = Field(default=None, description="ISO 8601 with zone or epoch ms; now if absent")
    value: float | None = Field(default=None, ge=-1e9, le=1e9, description="rating 1 to 5, or money")
    recommendation_id: Identifier | None = None
    order_id: Identifier | None = None
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    context: JsonObject = Field(default={}, max_length=50)

    @model_validator(mode="before")
    @classmethod
    def accept_segment_names(cls, values: Any) -> Any:
        """Translate Segment's event names into ours."""
        if isinstance(values, dict) and isinstance(values.get("type"), str):
            return {**values, "type": SEGMENT_ALIASES.get(values["type"], values["type"])}
        return values

    @model_validator(mode="after")
    def name_a_shopper_and_an_item(self) -> "Event":
        """Refuse an event that belongs to nobody or is about nothing."""
        if self.user_id is None and self.visitor_id is None:
            raise ValueError("either user_id or visitor_id is required")
        if self.item_id is not None and self.items:
            raise ValueError("give item_id or items, not both")
        if self.type is not EventType.SEARCH and self.item_id is None and not self.items:
            raise ValueError("item_id or items is required for this type")
        return self


class RejectedEvent(PublicModel):
    """Why one event of a batch was not taken; `index` is its place in the request."""

    index: int
    code: str
    field: str
    message: str


class EventsReceipt(PublicModel):
    """The answer to POST /events: what is durably stored, what was known already, what was refused."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent] = []


class StoredEvent(InternalModel):
    """An event as it travels in the stream and into Postgres: one line, every field resolved.

    `event_id` is the client's, with `#n` appended for the n-th line of an event with several items.
    """

    event_id: str
    type: EventType
    user_key: str
    item_id: str | None
    occurred_at: datetime
    received_at: datetime
    quantity: float
    price: float | None
    value: float | None
    session_id: str | None
    order_id: str | None
    recommendation_id: str | None
    position: int | None
    currency: str | None
    context: dict[str, Any]
    content_hash: str | None = None
    """of the whole event as the shop sent it (shared.contracts.content_hash); made from this line if absent"""
