"""Refuse at the door, for next to nothing, a list that can neither be made live nor be answered from memory in time.

Called by   services/gateway/main.py, in front of keys and routes
Rule        all places for live lists are taken, and the event loop is behind with what it has: 503 with Retry-After.
            With a place free a request goes in; without one, and with the loop on time, it gets a list from memory
            (recommend.py). Events, the catalogue, users and probes always go in
Why         a list from memory costs a quarter of what this process does for a live one. At three times the capacity
            that takes a core: fewer live lists are made, and every answer comes late, the refusals, too
Counted     as requests of their route with status 503: they are failures of the promise S1
"""

from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.resilience.adaptive_limit import AdaptiveLimit
from shared.resilience.loop_beat import LoopBeat
from shared.service.problems import problem_response, unavailable


class _Route(NamedTuple):
    """What the figures of a request are kept under; no router has seen this one."""

    path_format: str


LISTS = {path: _Route(path) for path in ("/recommend", "/recommend/batch")}


class Shedding:
    """The door for requests that want a live list."""

    def __init__(self, app: ASGIApp, places: AdaptiveLimit, beat: LoopBeat) -> None:
        self._app = app
        self._places = places
        self._beat = beat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or say that there are too many."""
        if self._beat.is_behind and self._places.is_full and scope["type"] == "http" and scope["path"] in LISTS:
            self._places.count_refused()
            scope["route"] = LISTS[scope["path"]]
            await problem_response(unavailable("too many requests at once"))(scope, receive, send)
            return
        await self._app(scope, receive, send)
