"""The shop's catalogue as it crosses the border: items to upsert, partial changes, and what is read back.

Called by   services/gateway (routes), services/feature (storage), services/training (import)
"""

from typing import Annotated

from pydantic import Field

from shared.contracts.identifiers import Identifier
from shared.contracts.strict import PublicModel
from shared.contracts.values import JsonObject, Moment, Text

MAX_ITEMS_PER_REQUEST = 1000

Category = Annotated[Text, Field(max_length=200)]


class ItemFields(PublicModel):
    """Everything a shop may say about a product. Every field is optional in a PATCH."""

    title: Text | None = Field(default=None, max_length=500)
    description: Text | None = Field(default=None, max_length=20_000)
    categories: list[Category] | None = Field(default=None, max_length=20, description="path, broadest first")
    brand: Text | None = Field(default=None, max_length=200)
    price: float | None = Field(default=None, ge=0, le=1e9)
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    stock: int | None = Field(default=None, ge=0, le=10**12, description="null: not tracked, the item can be sold")
    rating: float | None = Field(default=None, ge=0, le=5)
    attributes: JsonObject | None = Field(default=None, max_length=100)
    image_url: Text | None = Field(default=None, max_length=2000)
    available_from: Moment | None = None
    available_until: Moment | None = None
    created_at: Moment | None = None


class Item(ItemFields):
    """One product: its identifier and what is known of it."""

    item_id: Identifier


class ItemPatch(ItemFields):
    """The fields to change; an absent field stays, an explicit null clears."""


class ItemsUpsert(PublicModel):
    """The body of POST /items."""

    items: list[Item] = Field(min_length=1, max_length=MAX_ITEMS_PER_REQUEST)


class ItemsReceipt(PublicModel):
    """The answer to POST /items."""

    upserted: int
