"""The feature service's HTTP face: each route reads, calls its use case, and writes.

Called by   services/feature/main.py; clients are the gateway and, for GET /users/{id}/state, people
Errors      404 an item or user nobody knows, 422 a malformed body, 503 with Retry-After a store that is away;
            a 503 to an erasure, a consent or events says that it is not done: send it again
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response, StreamingResponse

from services.feature.catalogue import ShopCatalogue, UnknownItemError, catalogue_item, public_item
from services.feature.event_store import EventStore
from services.feature.human_view import human_view
from services.feature.parity import ParityCheck
from services.feature.stores import STORES_DOWN
from services.feature.user_state import Origin, StateUnavailableError, UserStates
from services.feature.users import Accounts, TooManyExportsError, UnknownUserError
from shared.contracts.catalogue import Item, ItemPatch, ItemsReceipt, ItemsUpsert
from shared.contracts.events import StoredEvent
from shared.contracts.identifiers import normalise_identifier, user_key
from shared.contracts.internal import StateRequest, UserState
from shared.contracts.strict import PublicModel
from shared.contracts.users import (
    ErasureReceipt,
    MergeReceipt,
    UserMerge,
    UserPatch,
    UserRecord,
    UsersReceipt,
    UsersUpsert,
)
from shared.service.bodies import KIB, MIB, json_reply, model_reply, read_json, read_model, read_shape
from shared.service.clock import Clock
from shared.service.openapi import json_body, reply
from shared.service.problems import invalid_request, not_found, unavailable, validation_problem
from shared.service.queries import read_query
from shared.service.request_context import request_deadline
from shared.storage.live_catalogue import LiveCatalogue

EVENTS_LIMIT = 64 * MIB
"""the gateway's 1 MiB of events, each line of a basket written out"""
BULK_LIMIT = 8 * MIB
PATCH_LIMIT = 256 * KIB

LATER: tuple[type[Exception], ...] = (StateUnavailableError, TooManyExportsError, *STORES_DOWN)

_lines = TypeAdapter(list[StoredEvent])

_ITEM = {"item_id": 17, "title": "Espresso cups", "categories": ["Kitchen", "Cups"], "price": 9.5, "stock": 12}
_USER = {"user_id": 42, "age": 37, "region": "north", "consent": {"personalisation": True}}


@dataclass(frozen=True)
class Feature:
    """The use cases behind the routes."""

    states: UserStates
    events: EventStore
    catalogue: ShopCatalogue
    accounts: Accounts
    live: LiveCatalogue
    clock: Clock
    timeout_ms: float
    """of a state, for callers that send no deadline"""
    states_read: Counter
    """by origin"""
    parity: ParityCheck

    async def state(self, key: str, as_of_ms: int) -> tuple[UserState, Origin]:
        """Return a state, once there is a catalogue to compute its features with."""
        if not self.live.is_loaded:
            raise unavailable("the catalogue has not been read yet")
        state, origin = await self.states.state(key, as_of_ms)
        self.states_read.labels(origin.value).inc()
        if origin is Origin.ONLINE:
            self.parity.note(key)
        return state, origin


class StateQuery(PublicModel):
    """The query of GET /users/{id}/state."""

    visitor: bool = False
    """the id is a visitor's, not an account's"""


def state_routes(feature: Feature) -> APIRouter:
    """Return the routes that say what is known of a shopper."""
    router = APIRouter(tags=["state"])

    @router.post(
        "/state",
        openapi_extra=json_body(StateRequest, example={"user_key": "u:42", "as_of_ms": 1_790_000_000_000}),
        responses=reply(UserState, "what is known; of somebody unknown, an empty state"),
        summary="Everything ranking needs to know of a shopper",
    )
    async def state(request: Request) -> Response:
        wanted = await read_model(request, StateRequest)
        remaining_ms = request_deadline(feature.timeout_ms).remaining_ms()
        try:
            async with asyncio.timeout(remaining_ms / 1000):
                with refusals():
                    found, _ = await feature.state(wanted.user_key, wanted.as_of_ms)
        except TimeoutError:
            raise unavailable("the state could not be read in time") from None
        return model_reply(found)

    @router.get("/users/{user_id:path}/state", summary="The same for people, every feature with its meaning")
    async def state_for_people(request: Request) -> Response:
        query = read_query(request.query_params.multi_items(), StateQuery)
        shopper = _identifier(request, "user_id")
        key = user_key(None, shopper) if query.visitor else user_key(shopper, None)
        with refusals():
            found, origin = await feature.state(key, feature.clock.now_ms())
        return json_reply(human_view(found, origin, feature.live.catalogue))

    return router


def event_routes(feature: Feature) -> APIRouter:
    """Return the way of events past the stream."""
    router = APIRouter(tags=["events"])

    @router.post("/events/insert", summary="Store events while the event stream is away")
    async def insert(request: Request) -> Response:
        events = await read_shape(request, _lines, EVENTS_LIMIT)
        with refusals():
            outcome = await asyncio.to_thread(feature.events.insert, events)
            await asyncio.to_thread(feature.events.show, [outcome])
        known = len(outcome.duplicates) + len(outcome.erased)
        return json_reply({"inserted": len(outcome.new), "known": known, "conflicts": len(outcome.conflicts)})

    return router


def catalogue_routes(feature: Feature) -> APIRouter:
    """Return the routes of the catalogue."""
    router = APIRouter(tags=["catalogue"])

    @router.post(
        "/items",
        openapi_extra=json_body(ItemsUpsert, example={"items": [_ITEM]}),
        responses=reply(ItemsReceipt, "stored"),
        summary="Add or replace",
    )
    async def upsert(request: Request) -> Response:
        items = _items(await read_json(request, BULK_LIMIT))
        with refusals():
            await feature.catalogue.upsert(items)
        return model_reply(ItemsReceipt(upserted=len(items)))

    @router.patch(
        "/items/{item_id:path}",
        openapi_extra=json_body(ItemPatch, example={"stock": 0}),
        responses=reply(Item, "the item after it"),
        summary="Change fields",
    )
    async def patch(request: Request) -> Response:
        changes = await read_model(request, ItemPatch, PATCH_LIMIT)
        with refusals():
            return json_reply(public_item(await feature.catalogue.patch(_identifier(request, "item_id"), changes)))

    @router.get("/items/{item_id:path}", responses=reply(Item, "the item"), summary="Read")
    async def get(request: Request) -> Response:
        with refusals():
            return json_reply(public_item(await feature.catalogue.get(_identifier(request, "item_id"))))

    @router.delete("/items/{item_id:path}", responses=reply(Item, "what it was"), summary="Take out of sale for good")
    async def delete(request: Request) -> Response:
        with refusals():
            return json_reply(public_item(await feature.catalogue.delete(_identifier(request, "item_id"))))

    return router


def account_routes(feature: Feature) -> APIRouter:
    """Return the routes of what the shop says of its shoppers."""
    router = APIRouter(tags=["users"])
    accounts = feature.accounts

    @router.post(
        "/users",
        openapi_extra=json_body(UsersUpsert, example={"users": [_USER]}),
        responses=reply(UsersReceipt, "stored"),
        summary="Add or replace",
    )
    async def upsert(request: Request) -> Response:
        wanted = await read_model(request, UsersUpsert, BULK_LIMIT)
        with refusals():
            await accounts.upsert(wanted.users)
        return model_reply(UsersReceipt(upserted=len(wanted.users)))

    @router.get("/users/{user_id:path}", responses=reply(UserRecord, "the account"), summary="Read")
    async def get(request: Request) -> Response:
        with refusals():
            return model_reply(await accounts.get(_identifier(request, "user_id")))

    @router.patch(
        "/users/{user_id:path}",
        openapi_extra=json_body(UserPatch, example={"consent": {"personalisation": False}}),
        responses=reply(UserRecord, "the account after it"),
        summary="Change fields",
    )
    async def patch(request: Request) -> Response:
        changes = await read_model(request, UserPatch, PATCH_LIMIT)
        with refusals():
            return model_reply(await accounts.patch(_identifier(request, "user_id"), changes))

    return router


def privacy_routes(feature: Feature) -> APIRouter:
    """Return the routes of a shopper's own events: taken along, handed out, erased."""
    router = APIRouter(tags=["users"])
    accounts = feature.accounts

    @router.post(
        "/users/merge",
        openapi_extra=json_body(UserMerge, example={"visitor_id": "cookie-7", "user_id": 42}),
        responses=reply(MergeReceipt, "how many interactions moved"),
        summary="A visitor is an account",
    )
    async def merge(request: Request) -> Response:
        wanted = await read_model(request, UserMerge)
        with refusals():
            return model_reply(MergeReceipt(moved=await accounts.merge(wanted)))

    @router.get("/users/{user_id:path}/export", summary="All that is kept, as JSON lines")
    async def export(request: Request) -> Response:
        with refusals():
            lines = await accounts.export(_identifier(request, "user_id"))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @router.delete(
        "/users/{user_id:path}", responses=reply(ErasureReceipt, "what was removed, store by store"), summary="Erase"
    )
    async def erase(request: Request) -> Response:
        with refusals():
            return model_reply(await accounts.erase(_identifier(request, "user_id")))

    return router


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what a use case refuses into a problem document."""
    try:
        yield
    except UnknownItemError:
        raise not_found("item") from None
    except UnknownUserError:
        raise not_found("user") from None
    except LATER as error:
        raise unavailable("a store is away; nothing was lost, send it again") from error


def _items(document: Any) -> list[Any]:
    """Return the items of a body, with the form in which each id was written."""
    try:
        wanted = ItemsUpsert.model_validate(document)
    except ValidationError as error:
        raise validation_problem(error, "body") from None
    written = [entry["item_id"] for entry in document["items"]]
    return [
        catalogue_item(item, is_integer=isinstance(item_id, int))
        for item, item_id in zip(wanted.items, written, strict=True)
    ]


def _identifier(request: Request, name: str) -> str:
    """Return the identifier in the path, in the form it is stored."""
    try:
        return normalise_identifier(request.path_params[name])
    except ValueError as error:
        raise invalid_request(str(error), "path", name) from None
