"""Feature, ranking and training answer our own processes only: those that send the internal token.

Called by   shared/service/app.py (puts it before the routes of those services), http_client.py (sends the token)
Rotation    the setting may name several tokens: add the new one behind the old one everywhere, then swap, then drop
Open        without a token everybody on this machine is answered, and the service binds loopback only
Errors      401 without a token or with a wrong one; exit code 2 for a service that the network could use without
"""

import hmac
from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.contracts.access import TOKEN_HEADER
from shared.contracts.problems import ProblemCode
from shared.service.middleware import OPERATIONS_PATHS
from shared.service.problems import ProblemError, problem_response
from shared.service.settings import Settings, refuse_settings

_HEADER = TOKEN_HEADER.encode()


class InternalCallers:
    """Refuses calls of strangers; probes and figures are open."""

    def __init__(self, app: ASGIApp, tokens: Sequence[str]) -> None:
        self._app = app
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPERATIONS_PATHS and not self._is_ours(scope):
            problem = ProblemError(
                401, ProblemCode.UNAUTHENTICATED, "this service answers other services of Aisle only"
            )
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == _HEADER]
        if len(given) != 1:
            return False
        return any([hmac.compare_digest(given[0], token) for token in self._tokens])  # noqa: C419 - all, in constant time


def internal_only(settings: Settings) -> list[Middleware]:
    """Return what stands before the routes of an internal service."""
    tokens = settings.internal_tokens()
    if tokens:
        return [Middleware(InternalCallers, tokens=tokens)]
    if not settings.is_loopback:
        problem = (
            "without AISLE_INTERNAL_TOKEN this service answers this machine only; set it, or AISLE_HOST to 127.0.0.1"
        )
        refuse_settings([f"AISLE_HOST: {problem}"])
    return []
