"""Who may ask: an API key on every call, or only this machine; and the /v1 prefix every path also has.

Called by   services/gateway/main.py, which puts both in front of the routes
Keys        compared by their SHA-256 in constant time, so neither length nor prefix leaks; never logged
"""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.contracts.problems import ProblemCode
from shared.service.middleware import OPERATIONS_PATHS
from shared.service.problems import ProblemError, problem_response
from shared.service.settings import Settings, refuse_settings

KEY_HEADER = b"x-api-key"
PREFIX = "/v1/"


class ApiKeys:
    """Refuses calls without one of the keys; probes and metrics are open."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPERATIONS_PATHS and not self._is_known(scope):
            problem = ProblemError(401, ProblemCode.UNAUTHENTICATED, "a valid X-API-Key header is required")
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == KEY_HEADER]
        if len(given) != 1:
            return False
        digest = hashlib.sha256(given[0]).digest()
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419 - all, in constant time


class VersionPrefix:
    """Answers /v1/recommend like /recommend."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on without the prefix."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            # In place: the middleware around this one reads the matched route from the same scope.
            scope["path"] = scope["path"][len(PREFIX) - 1 :]
        await self._app(scope, receive, send)


def refuse_open_bind(settings: Settings) -> None:
    """End the process when anybody on the network could use an open gateway."""
    if settings.is_loopback or settings.api_key_list():
        return
    problem = "without AISLE_API_KEYS the gateway answers this machine only; set them, or AISLE_HOST to 127.0.0.1"
    refuse_settings([f"AISLE_HOST: {problem}"])
