"""Aisle goes to no address that a request names."""

import asyncio

from fastapi import FastAPI

from tests.asgi_client import call
from tests.integration.ingest_support import event
from tests.integration.test_feature_service import app, insert, state, stores

__all__ = ["app", "stores"]


async def test_no_url_of_a_request_is_ever_fetched(app: FastAPI) -> None:
    visitors = 0

    async def visited(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/picture.png"
    async with server:
        item = {"item_id": 17, "title": url, "image_url": url, "attributes": {"link": url}}
        assert (await call(app, "POST", "/items", {"items": [item]})).status == 200
        assert (await call(app, "PATCH", "/items/17", {"image_url": url + "?again"})).status == 200
        assert (
            await call(app, "POST", "/users", {"users": [{"user_id": url, "attributes": {"home": url}}]})
        ).status == 200
        assert (await insert(app, event("a", context={"callback": url}))).status == 200
        await state(app)
        assert (await call(app, "GET", "/items/17")).document["image_url"] == url + "?again"
        await asyncio.sleep(0.2)
    assert visitors == 0
