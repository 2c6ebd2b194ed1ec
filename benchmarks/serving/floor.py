"""The floor: the product's topology with handlers that return a constant.

Called by   benchmarks/serving/__main__.py, which starts one process for each role
Topology    gateway (parse the public model, one Redis MGET, two HTTP hops, serialise) → feature → ranking, with bodies
            of the product's sizes; product/floor says what Aisle's own work costs above the stack it stands on
"""

import os
from typing import Any

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from shared.contracts.recommendation import RecommendRequest
from shared.storage.redis.clients import async_client

STATE_EVENTS = 512


def constant_state() -> bytes:
    """Return a user state as large as the product's largest."""
    columns = {
        "item_id": [str(1_000_000 + place) for place in range(STATE_EVENTS)],
        "type": [6] * STATE_EVENTS,
        "at_ms": [1_700_000_000_000 + place for place in range(STATE_EVENTS)],
        "price": [2.5] * STATE_EVENTS,
        "quantity": [1.0] * STATE_EVENTS,
    }
    return orjson.dumps({"user_key": "u:1", "version": "1", "as_of_ms": 0, "events": columns})


def constant_list() -> bytes:
    """Return a ranked list of ten items with sources, as ranking sends it."""
    items = [{"item_id": number, "score": 1.0 - number / 10, "sources": ["sequence"]} for number in range(10)]
    return orjson.dumps({"items": items, "counts": {}, "model": {"name": "floor", "version": "0"}})


def constant_app(path: str, body: bytes) -> FastAPI:
    """Return a service that reads a body, parses it and answers a constant."""
    app = FastAPI()

    @app.post(path)
    async def answer(request: Request) -> Response:
        orjson.loads(await request.body())
        return Response(body, media_type="application/json")

    return app


def gateway_app(feature_url: str, ranking_url: str, redis_url: str) -> FastAPI:
    """Return the gateway of the floor."""
    app = FastAPI()
    clients: dict[str, Any] = {}

    @app.post("/recommend")
    async def recommend(request: Request) -> Response:
        if not clients:
            clients["http"] = aiohttp.ClientSession()
            clients["redis"] = async_client(redis_url)
        asked = RecommendRequest.model_validate(orjson.loads(await request.body()))
        await clients["redis"].mget(["floor:list", "floor:user", "floor:model", "floor:rules"])
        state = await _post(clients["http"], f"{feature_url}/state", orjson.dumps({"user_key": asked.user_id}))
        body = orjson.dumps({"num_items": asked.num_items, "state": orjson.Fragment(state)})
        ranked = orjson.loads(await _post(clients["http"], f"{ranking_url}/rank", body))
        answer = {"recommendations": ranked["items"], "served_from": "live", "degraded_reason": "none"}
        return Response(orjson.dumps(answer), media_type="application/json")

    return app


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
        return await response.read()


def create_app() -> FastAPI:
    """Return the role that the environment names; uvicorn's factory."""
    role = os.environ["FLOOR_ROLE"]
    if role == "feature":
        return constant_app("/state", constant_state())
    if role == "ranking":
        return constant_app("/rank", constant_list())
    return gateway_app(os.environ["FLOOR_FEATURE"], os.environ["FLOOR_RANKING"], os.environ["FLOOR_REDIS"])


if __name__ == "__main__":
    uvicorn.run(create_app(), host="127.0.0.1", port=int(os.environ["FLOOR_PORT"]), access_log=False, log_level="error")
