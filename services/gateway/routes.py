"""The gateway's HTTP face: each route reads, calls its use case, and writes; nothing is decided here.

Called by   services/gateway/main.py
Contract    bodies and queries are strict, every refusal is a problem document (shared/service/bodies.py, problems.py)
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from services.gateway import documentation as docs
from services.gateway.access import charge
from services.gateway.batch import RecommendBatch
from services.gateway.event_intake import EventIntake
from services.gateway.explain import Explain
from services.gateway.listing import Listing, ListingQuery, etag_of
from services.gateway.metrics import LIST_NAMES, GatewayMetrics
from services.gateway.proxy import FeatureProxy, closing, path_of
from services.gateway.recommend import Recommend
from services.gateway.recommend_forms import parse_recommend
from services.gateway.showing import Showing
from services.gateway.similar import Similar, SimilarQuery
from shared.contracts.catalogue import Item, ItemsReceipt
from shared.contracts.events import EventsReceipt
from shared.contracts.explanation import ExplainReply, ExplainRequest
from shared.contracts.identifiers import normalise_identifier, user_key
from shared.contracts.recommendation import BatchReply, BatchRequest, RecommendReply
from shared.contracts.users import ErasureReceipt, MergeReceipt, UserRecord, UsersReceipt
from shared.service.bodies import KIB, MIB, json_reply, model_reply, read_body, read_json, read_model, require_json
from shared.service.http_client import Reply
from shared.service.openapi import reply
from shared.service.problems import invalid_request
from shared.service.queries import read_query

RECOMMEND_LIMIT = 256 * KIB
EVENTS_LIMIT = MIB
ITEMS_LIMIT = 8 * MIB
USERS_LIMIT = 8 * MIB


@dataclass(frozen=True)
class Gateway:
    """The use cases behind the routes."""

    recommend: Recommend
    batch: RecommendBatch
    similar: Similar
    explain: Explain
    listing: Listing
    events: EventIntake
    feature: FeatureProxy
    showing: Showing
    metrics: GatewayMetrics


def recommendation_routes(gateway: Gateway) -> APIRouter:
    """Return the routes that answer lists."""
    router = APIRouter(tags=["recommendations"])

    @router.post(
        "/recommend", openapi_extra=docs.RECOMMEND, responses=reply(RecommendReply, "the list"), summary="One list"
    )
    async def recommend(request: Request) -> Response:
        started_s = perf_counter()
        body = await read_body(request, RECOMMEND_LIMIT)
        if body.strip():
            require_json(request)
        asked = parse_recommend(request.query_params.multi_items(), body)
        answer = await gateway.recommend.answer(asked)
        with gateway.metrics.stage("serialise"):
            return json_reply(gateway.showing.recommended(answer, asked, _ms_since(started_s)))

    @router.post(
        "/recommend/batch",
        openapi_extra=docs.BATCH,
        responses=reply(BatchReply, "one result for each request, in order"),
        summary="The lists of one page",
    )
    async def recommend_batch(request: Request) -> Response:
        batch = await read_model(request, BatchRequest, RECOMMEND_LIMIT)
        await charge(request.scope, len(batch.requests) - 1)
        return json_reply({"results": await gateway.batch.answer(batch)})

    @router.get(
        "/similar/{item_id:path}",
        openapi_extra=docs.SIMILAR,
        responses=reply(RecommendReply, "the list"),
        summary="Items like one item",
    )
    async def similar(request: Request) -> Response:
        started_s = perf_counter()
        query = read_query(request.query_params.multi_items(), SimilarQuery)
        answer = await gateway.similar.answer(_identifier(request, "item_id"), query)
        shopper = user_key(query.user_id, None) if query.user_id is not None else None
        return json_reply(gateway.showing.listed(answer, _ms_since(started_s), shopper))

    @router.post(
        "/explain",
        openapi_extra=docs.EXPLAIN,
        responses=reply(ExplainReply, "why, or why not"),
        summary="Why an item is in a list, or is not",
    )
    async def explain(request: Request) -> Response:
        asked = await read_model(request, ExplainRequest, RECOMMEND_LIMIT)
        return model_reply(await gateway.explain.answer(asked, request.headers.get("accept-language")))

    for name in LIST_NAMES:
        router.add_api_route(
            f"/{name}",
            _listing_route(gateway, name),
            methods=["GET"],
            openapi_extra=docs.LISTING,
            responses={**reply(RecommendReply, "the list"), 304: {"description": "as before"}},
            summary=f"The {name} items",
        )
    return router


def event_routes(gateway: Gateway) -> APIRouter:
    """Return the route that takes events."""
    router = APIRouter(tags=["events"])

    @router.post(
        "/events",
        status_code=202,
        openapi_extra=docs.EVENTS,
        responses=reply(EventsReceipt, "what is durably stored, was known, or was refused", 202),
        summary="What shoppers did",
    )
    async def events(request: Request) -> Response:
        return model_reply(await gateway.events.accept(await read_json(request, EVENTS_LIMIT)), 202)

    return router


def catalogue_routes(gateway: Gateway) -> APIRouter:
    """Return the routes of the catalogue; feature answers them."""
    router = APIRouter(tags=["catalogue"])
    feature = gateway.feature

    @router.post("/items", openapi_extra=docs.ITEMS, responses=reply(ItemsReceipt, "done"), summary="Add or replace")
    async def upsert_items(request: Request) -> Response:
        return _passed(await feature.forward("POST", "/items", await _body(request, ITEMS_LIMIT)))

    @router.patch(
        "/items/{item_id:path}",
        openapi_extra=docs.ITEM_PATCH,
        responses=reply(Item, "the item"),
        summary="Change",
    )
    async def patch_item(request: Request) -> Response:
        path = path_of("items", _identifier(request, "item_id"))
        return _passed(await feature.forward("PATCH", path, await _body(request, ITEMS_LIMIT)))

    @router.get("/items/{item_id:path}", openapi_extra=docs.ITEM, responses=reply(Item, "the item"), summary="Read")
    async def get_item(request: Request) -> Response:
        return _passed(await feature.forward("GET", path_of("items", _identifier(request, "item_id"))))

    @router.delete("/items/{item_id:path}", openapi_extra=docs.ITEM, responses=reply(Item, "gone"), summary="Remove")
    async def delete_item(request: Request) -> Response:
        return _passed(await feature.forward("DELETE", path_of("items", _identifier(request, "item_id"))))

    return router


def user_routes(gateway: Gateway) -> APIRouter:
    """Return the routes of accounts; feature answers them."""
    router = APIRouter(tags=["users"])
    feature = gateway.feature

    @router.post("/users", openapi_extra=docs.USERS, responses=reply(UsersReceipt, "done"), summary="Add or replace")
    async def upsert_users(request: Request) -> Response:
        return _passed(await feature.forward("POST", "/users", await _body(request, USERS_LIMIT)))

    @router.post(
        "/users/merge",
        openapi_extra=docs.USER_MERGE,
        responses=reply(MergeReceipt, "done"),
        summary="A visitor logged in",
    )
    async def merge_users(request: Request) -> Response:
        return _passed(await feature.forward("POST", "/users/merge", await _body(request, KIB * 64)))

    @router.get(
        "/users/{user_id:path}/export",
        openapi_extra=docs.USER,
        response_class=StreamingResponse,
        responses=docs.EXPORT,
        summary="All that is stored, as JSON lines",
    )
    async def export_user(request: Request) -> Response:
        stack = AsyncExitStack()
        answer = await feature.stream(path_of("users", _identifier(request, "user_id"), "/export"), stack)
        chunks = closing(answer.chunks, stack)
        return StreamingResponse(chunks, answer.status, media_type=answer.content_type)

    @router.get("/users/{user_id:path}", openapi_extra=docs.USER, responses=reply(UserRecord, "it"), summary="Read")
    async def get_user(request: Request) -> Response:
        return _passed(await feature.forward("GET", path_of("users", _identifier(request, "user_id"))))

    @router.patch(
        "/users/{user_id:path}",
        openapi_extra=docs.USER_PATCH,
        responses=reply(UserRecord, "it"),
        summary="Change fields",
    )
    async def patch_user(request: Request) -> Response:
        path = path_of("users", _identifier(request, "user_id"))
        return _passed(await feature.forward("PATCH", path, await _body(request, KIB * 64)))

    @router.delete(
        "/users/{user_id:path}",
        openapi_extra=docs.USER,
        responses=reply(ErasureReceipt, "what was removed, store by store"),
        summary="Erase",
    )
    async def erase_user(request: Request) -> Response:
        return _passed(await feature.forward("DELETE", path_of("users", _identifier(request, "user_id"))))

    return router


def _listing_route(gateway: Gateway, name: str) -> Callable[[Request], Awaitable[Response]]:
    async def listing(request: Request) -> Response:
        started_s = perf_counter()
        query = read_query(request.query_params.multi_items(), ListingQuery)
        answer = gateway.listing.answer(name, query)
        etag = etag_of(answer)
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"etag": etag})
        document = gateway.showing.listed(answer, _ms_since(started_s))
        return json_reply(document, headers={"etag": etag, "cache-control": "max-age=5"})

    return listing


def _identifier(request: Request, name: str) -> str:
    """Return the identifier in the path, in the form it is stored."""
    try:
        return normalise_identifier(request.path_params[name])
    except ValueError as error:
        raise invalid_request(str(error), "path", name) from None


async def _body(request: Request, limit_bytes: int) -> bytes:
    """Return a body that feature will check; what is no JSON at all need not travel."""
    require_json(request)
    return await read_body(request, limit_bytes)


def _passed(answer: Reply) -> Response:
    """Return feature's answer as it is; the request id in a problem document is this request's own already."""
    headers = {"retry-after": answer.headers["retry-after"]} if "retry-after" in answer.headers else None
    return Response(answer.body, answer.status, headers, answer.content_type)


def _ms_since(started_s: float) -> float:
    return (perf_counter() - started_s) * 1000
