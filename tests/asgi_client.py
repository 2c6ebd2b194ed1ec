"""Call an ASGI application in this process, with bodies in chunks and headers as the test wants them.

Called by   tests/unit/service, tests/unit/gateway, tests/contract
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp, Message

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """Return the body as JSON."""
        return orjson.loads(self.body)


async def call(
    app: ASGIApp,
    method: str,
    target: str,
    document: Any = None,
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request; `target` is the path with its query, percent-encoded."""
    path, _, query = target.partition("?")
    chunks = [orjson.dumps(document)] if document is not None else _chunks(body)
    sent = (JSON if chunks and headers is None else {}) | (headers or {})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
    }
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks)}
        for place, chunk in enumerate(chunks, start=1)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]
    received: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        # Nobody hangs up: a disconnect would end a streamed answer.
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        received.append(message)

    await app(scope, receive, send)
    start = received[0]
    content = b"".join(message.get("body", b"") for message in received[1:])
    answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], answered, content)


def _chunks(body: bytes | Iterable[bytes] | None) -> list[bytes]:
    if body is None:
        return []
    return [body] if isinstance(body, bytes) else list(body)
