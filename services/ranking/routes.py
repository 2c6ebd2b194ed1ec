"""Ranking over HTTP: POST /rank, POST /similar, POST /explain, GET /model.

Called by   services/gateway (the only client), operators (GET /model)
Errors      400 invalid_filter, 404 unknown item, 422 malformed request,
            503 with Retry-After: the answer would be late, or the model is still loading
            503 without: no model was ever published, so there is nothing to come back for
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from services.ranking.admission import Admission, WouldBeLateError
from services.ranking.encode_ahead import encoded_ahead
from services.ranking.explain import explain
from services.ranking.micro_batcher import TooLateError
from services.ranking.model_host import ModelHost, NoModelError
from services.ranking.rank import Ranker
from services.ranking.similar import UnknownItemError, UnknownKindError, similar_items
from shared.contracts.explanation import ExplainRankRequest
from shared.contracts.internal import RankRequest, SimilarRequest
from shared.contracts.problems import ProblemCode
from shared.features.filter import FilterError
from shared.features.shopper_events import MalformedEventsError
from shared.service.bodies import MIB, Model, json_reply, model_reply, read_body, require_json
from shared.service.problems import ProblemError, invalid_request, not_found, unavailable, validation_problem
from shared.service.request_context import request_deadline

BODY_LIMIT = 4 * MIB
"""a state of 512 events and a thousand identifiers, each as long as they may be"""


@dataclass(frozen=True)
class Ranking:
    """What the routes call."""

    ranker: Ranker
    host: ModelHost
    admission: Admission
    timeout_ms: float
    """for callers that send no deadline"""


def make_router(ranking: Ranking) -> APIRouter:
    """Return the routes of one ranking service."""
    router = APIRouter(tags=["ranking"])

    @router.post("/rank", summary="The list for one shopper in one place")
    async def rank(request: Request) -> Response:
        wanted = await _read(request, RankRequest)
        deadline = request_deadline(ranking.timeout_ms)
        try:
            with ranking.host.borrow() as model:
                begun = await encoded_ahead(ranking.ranker, model, wanted, deadline)
                async with ranking.admission.turn(deadline):
                    return model_reply(ranking.ranker.rank(model, wanted, begun))
        except REFUSALS as error:
            raise _problem(error) from None

    @router.post("/similar", summary="Items like one item")
    async def similar(request: Request) -> Response:
        wanted = await _read(request, SimilarRequest)
        try:
            async with ranking.admission.turn(request_deadline(ranking.timeout_ms)):
                with ranking.host.borrow() as model:
                    return model_reply(similar_items(model, wanted, ranking.ranker.merchandising()))
        except REFUSALS as error:
            raise _problem(error) from None

    @router.post("/explain", summary="Why an item is in a list, or is not")
    async def explanation(request: Request) -> Response:
        wanted = await _read(request, ExplainRankRequest)
        try:
            async with ranking.admission.turn(request_deadline(ranking.timeout_ms)):
                with ranking.host.borrow() as model:
                    return model_reply(explain(ranking.ranker, model, wanted))
        except REFUSALS as error:
            raise _problem(error) from None

    @router.get("/model", summary="The model that serves")
    async def model() -> Response:
        try:
            with ranking.host.borrow() as serving:
                return json_reply(serving.card() | ranking.host.card())
        except NoModelError as error:
            raise _problem(error) from None

    return router


REFUSALS = (
    WouldBeLateError,
    TooLateError,
    NoModelError,
    FilterError,
    MalformedEventsError,
    UnknownItemError,
    UnknownKindError,
)


def _problem(error: Exception) -> ProblemError:
    """Return the answer to a request that could not be ranked."""
    if isinstance(error, WouldBeLateError | TooLateError):
        return unavailable("the answer would come too late")
    if isinstance(error, NoModelError):
        return unavailable(str(error)) if error.comes else ProblemError(503, ProblemCode.UNAVAILABLE, str(error))
    if isinstance(error, FilterError):
        return ProblemError(400, ProblemCode.INVALID_FILTER, str(error))
    if isinstance(error, UnknownItemError):
        return not_found("item")
    if isinstance(error, UnknownKindError):
        return invalid_request("not a kind of similarity", "body", "kind")
    return invalid_request(str(error), "body", "state")


async def _read(request: Request, model: type[Model]) -> Model:
    """Return the body as a model; it comes from one of our own services, so public strictness is not paid for."""
    require_json(request)
    try:
        return model.model_validate_json(await read_body(request, BODY_LIMIT))
    except ValidationError as error:
        raise validation_problem(error, "body") from None
