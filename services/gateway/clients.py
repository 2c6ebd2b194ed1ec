"""The calls the gateway makes: the state of a shopper from feature, a ranked list from ranking, events to feature.

Called by   services/gateway/personal_list.py, similar.py, explain.py, event_intake.py
Out         a shopper's state stays the bytes feature sent: of it the gateway reads the version only
Errors      DependencyError (see dependency.py), ProblemError for an item ranking does not know
"""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from services.gateway.dependency import Dependency, DependencyDownError
from services.gateway.held_states import State
from services.gateway.ports import Sender
from shared.contracts.explanation import ExplainReply
from shared.contracts.internal import RankReply
from shared.resilience.deadline import Deadline
from shared.service.http_client import Reply
from shared.service.problems import not_found

INSERT_TIMEOUT_MS = 2000.0


@dataclass(frozen=True)
class Ranked:
    """Ranking's answer, checked; `document` is the same as plain JSON values, so that nothing is dumped twice."""

    reply: RankReply
    document: dict[str, Any]


class FeatureClient:
    """The feature service."""

    def __init__(self, http: Sender, dependency: Dependency) -> None:
        self._http = http
        self._dependency = dependency

    async def state(self, user_key: str, as_of_ms: int, deadline: Deadline, timeout_ms: float) -> State:
        """Return a shopper's UserState; of somebody unknown, an empty one."""
        body = orjson.dumps({"user_key": user_key, "as_of_ms": as_of_ms})
        reply = await self._dependency.call(
            lambda allowed_ms: self._http.send("POST", "/state", body, allowed_ms), deadline, timeout_ms
        )
        if reply.status != 200:
            raise DependencyDownError(f"feature answered {reply.status} to /state")
        try:
            return State(reply.body, orjson.loads(reply.body)["version"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise DependencyDownError("feature answered something else than a state") from error

    async def insert_events(self, body: bytes) -> bool:
        """Store events in the database without the stream; return whether that is durably done."""
        deadline = Deadline.after(INSERT_TIMEOUT_MS)
        reply = await self._dependency.call(
            lambda allowed_ms: self._http.send("POST", "/events/insert", body, allowed_ms), deadline, INSERT_TIMEOUT_MS
        )
        return 200 <= reply.status < 300


class RankingClient:
    """The ranking service."""

    def __init__(self, http: Sender, dependency: Dependency) -> None:
        self._http = http
        self._dependency = dependency

    async def rank(self, body: bytes, deadline: Deadline, timeout_ms: float) -> Ranked:
        """Return the list for one RankRequest."""
        reply = await self._dependency.call(
            lambda allowed_ms: self._http.send("POST", "/rank", body, allowed_ms), deadline, timeout_ms
        )
        return _ranked(reply)

    async def similar(self, body: bytes, deadline: Deadline, timeout_ms: float) -> Ranked:
        """Return the list for one SimilarRequest."""
        reply = await self._dependency.call(
            lambda allowed_ms: self._http.send("POST", "/similar", body, allowed_ms), deadline, timeout_ms
        )
        if reply.status == 404:
            raise not_found("item")
        return _ranked(reply)

    async def explain(self, body: bytes, deadline: Deadline, timeout_ms: float) -> ExplainReply:
        """Return the explanation for one ExplainRankRequest."""
        reply = await self._dependency.call(
            lambda allowed_ms: self._http.send("POST", "/explain", body, allowed_ms), deadline, timeout_ms
        )
        if reply.status == 404:
            raise not_found("item")
        if reply.status != 200:
            raise DependencyDownError(f"ranking answered {reply.status}")
        try:
            return ExplainReply.model_validate_json(reply.body)
        except ValidationError as error:
            raise DependencyDownError("ranking answered something else than an explanation") from error


def _ranked(reply: Reply) -> Ranked:
    """Check an answer as if it came from a stranger: a wrong one is no better than none."""
    if reply.status != 200:
        raise DependencyDownError(f"ranking answered {reply.status}")
    try:
        document = orjson.loads(reply.body)
        return Ranked(RankReply.model_validate(document), document)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise DependencyDownError("ranking answered something else than a list") from error
