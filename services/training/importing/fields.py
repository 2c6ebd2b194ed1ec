"""The fields that an import can fill, for each of the three kinds of file.

Called by   mapping.py (which column fills which field), interactions.py, items.py, users.py
Open        "context.<name>" and "attributes.<name>" take any name
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["interactions", "items", "users"]


@dataclass(frozen=True)
class FieldSet:
    """The fields of one kind of file."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    """at least one column each; "a|b" wants one of the two"""
    prefix: str
    """of the fields with a free name"""


FIELDS: dict[Kind, FieldSet] = {
    "interactions": FieldSet(
        names=(
            "event_id",
            "type",
            "user_id",
            "visitor_id",
            "item_id",
            "occurred_at",
            "quantity",
            "price",
            "value",
            "session_id",
            "order_id",
            "recommendation_id",
            "position",
            "currency",
        ),
        required=("user_id|visitor_id", "item_id", "occurred_at"),
        prefix="context.",
    ),
    "items": FieldSet(
        names=(
            "item_id",
            "title",
            "description",
            "categories",
            "brand",
            "price",
            "currency",
            "stock",
            "rating",
            "image_url",
            "available_from",
            "available_until",
            "created_at",
        ),
        required=("item_id",),
        prefix="attributes.",
    ),
    "users": FieldSet(
        names=("user_id", "age", "age_band", "gender", "region", "personalisation"),
        required=("user_id",),
        prefix="attributes.",
    ),
}
SEVERAL_COLUMNS = frozenset({"categories"})
"""fields that may be put together from more than one column, in their order"""
