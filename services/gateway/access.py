"""Who may ask: a key with the right scope on every call, within its rate; and the /v1 prefix every path also has.

Called by   services/gateway/main.py, which puts both in front of the routes
Order       before anything of the request is parsed: key (401) → scope (403) → rate (429)
Open        without keys (key_ring.py says when) everything is answered, on loopback only
Secrets     neither a key nor a part of one reaches a log, a metric or an answer; a key's id does
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.key_ring import KeyRing
from services.gateway.rate_limit import RateLimits
from services.gateway.scopes import METRICS, PROBES, scope_of
from shared.contracts.problems import ProblemCode
from shared.service.problems import ProblemError, not_found, problem_response
from shared.service.settings import Settings, refuse_settings

KEY_HEADER = b"x-api-key"
PREFIX = "/v1/"
KEY_OF_CALL = "aisle.key"


class Access:
    """Refuses calls that no key allows; probes are open."""

    def __init__(self, app: ASGIApp, ring: KeyRing, limits: RateLimits, admin_port: int | None) -> None:
        self._app = app
        self._ring = ring
        self._limits = limits
        self._admin_port = admin_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or say why not."""
        if scope["type"] == "http":
            refusal = await self._refusal(scope)
            if refusal is not None:
                await problem_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ProblemError | None:
        path = scope["path"]
        if path in PROBES:
            return None
        if self._admin_port is not None and self._is_inside(scope) != (path == METRICS):
            # Figures are on the inner port and nothing else is.
            return not_found("path")
        if not self._ring.is_closed or self._is_inside(scope):
            return None
        key = self._ring.find(_presented(scope))
        if key is None:
            return ProblemError(401, ProblemCode.UNAUTHENTICATED, "a valid X-API-Key header is required")
        wanted = scope_of(scope["method"], path)
        if not key.allows(wanted):
            return ProblemError(403, ProblemCode.FORBIDDEN, f"this key lacks the scope {wanted.value}")
        scope[KEY_OF_CALL] = (self._limits, key)
        return await self._limits.refusal(key)

    def _is_inside(self, scope: Scope) -> bool:
        """Return whether the call came in on the port that only the inside can reach; no client can make that up."""
        return self._admin_port is not None and scope["server"][1] == self._admin_port


async def charge(scope: Scope, number: int) -> None:
    """Count further requests against the key of a call that holds several; an open gateway counts nothing."""
    if KEY_OF_CALL in scope and number > 0:
        limits, key = scope[KEY_OF_CALL]
        await limits.charge(key, number)


def _presented(scope: Scope) -> bytes:
    """Return the key of a call; two of them are none."""
    given: list[bytes] = [value for name, value in scope["headers"] if name == KEY_HEADER]
    return given[0] if len(given) == 1 else b""


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
    if settings.is_loopback or settings.require_keys or settings.api_key_list():
        return
    problem = (
        "without keys the gateway answers this machine only; set AISLE_REQUIRE_KEYS=true and make keys with"
        " `aisle keys create`, or set AISLE_API_KEYS, or AISLE_HOST to 127.0.0.1"
    )
    refuse_settings([f"AISLE_HOST: {problem}"])
