"""Shoppers as the shop describes them: attributes and consent, and the merge of a visitor into an account."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool

from shared.contracts.identifiers import Identifier
from shared.contracts.strict import PublicModel
from shared.contracts.values import Text, storable

Attribute = str | int | float | bool | None
Attributes = Annotated[dict[str, Attribute], AfterValidator(storable)]


class Consent(PublicModel):
    """What the shopper allows. Without personalisation, answers never read their history."""

    personalisation: StrictBool = True


class UserFields(PublicModel):
    """What may be said of a shopper; `attributes` holds what has no field of its own (income, kids, ...)."""

    age: int | None = Field(default=None, ge=0, le=130, description="years; stored as a band")
    age_band: Text | None = Field(default=None, max_length=32)
    gender: Text | None = Field(default=None, max_length=32)
    region: Text | None = Field(default=None, max_length=128)
    attributes: Attributes | None = Field(default=None, max_length=50)
    consent: Consent | None = None


class User(UserFields):
    """One account."""

    user_id: Identifier


class UserPatch(UserFields):
    """The fields to change; an absent field stays, an explicit null clears."""


class UsersUpsert(PublicModel):
    """The body of POST /users."""

    users: list[User] = Field(min_length=1, max_length=1000)


class UsersReceipt(PublicModel):
    """The answer to POST /users."""

    upserted: int


class UserMerge(PublicModel):
    """The body of POST /users/merge: the visitor's events become the account's."""

    visitor_id: Identifier
    user_id: Identifier


class MergeReceipt(PublicModel):
    """How many interactions moved."""

    moved: int


class ErasureReceipt(PublicModel):
    """What DELETE /users/{id} removed, store by store."""

    user_id: str
    erased_at: str
    removed: dict[str, int]
    absent_from_models_after: str | None = None


class UserRecord(UserFields):
    """An account as it is read back."""

    user_id: str
    attributes: dict[str, Any] | None = None
