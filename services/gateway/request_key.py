"""Bring a request into one normal form: the key of its cached list, and the part of it that ranking needs.

Called by   services/gateway/recommend.py
Rule        everything that may change the list is in the key: the whole request without its timeout and its logging
            switches, the shopper, the scenario, the arms, and the time by the hour (the request's own, else the shop's)
Injective   the key hashes sorted JSON, in which no two requests look alike
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import orjson

from shared.contracts.identifiers import user_key
from shared.contracts.recommendation import RecommendRequest

DEFAULT_SCENARIO = "home"
NOT_IN_LIST = frozenset({"user_id", "visitor_id", "session_id", "timeout_ms", "dry_run", "scenario"})


@dataclass(frozen=True)
class NormalRequest:
    """A request as the ladder works with it."""

    request: RecommendRequest
    user_key: str
    scenario: str
    as_of_ms: int
    fields: Mapping[str, Any]
    """what differs from the defaults, as JSON values, under the names of RankRequest"""
    arms: Mapping[str, str]
    request_hash: str

    def rank_body(self, state: bytes | None) -> bytes:
        """Return the body of ranking's POST /rank; the shopper's state goes in as the bytes feature sent."""
        fragment = None if state is None else orjson.Fragment(state)
        scope = {"as_of_ms": self.as_of_ms, "scenario": self.scenario, "arms": self.arms, "state": fragment}
        return orjson.dumps({"num_items": self.request.num_items, **self.fields, **scope})


def normalise(
    request: RecommendRequest, as_of_ms: int, zone: tzinfo, arms: Mapping[str, str] | None = None
) -> NormalRequest:
    """Return the normal form of a valid request."""
    fields = request.model_dump(mode="json", exclude=set(NOT_IN_LIST), exclude_defaults=True)
    page = request.context.page if request.context else None
    scenario = request.scenario or page or DEFAULT_SCENARIO
    shopper = user_key(request.user_id, request.visitor_id)
    chosen = dict(arms or {})
    key = [shopper, scenario, _hour(request, as_of_ms, zone), chosen, _without_minutes(fields)]
    digest = hashlib.blake2b(orjson.dumps(key, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return NormalRequest(request, shopper, scenario, as_of_ms, fields, chosen, digest)


def _hour(request: RecommendRequest, as_of_ms: int, zone: tzinfo) -> str:
    local = request.context.local_time if request.context else None
    moment = local or datetime.fromtimestamp(as_of_ms / 1000, zone)
    return f"{moment.date()}T{moment.hour}{moment.utcoffset()}"


def _without_minutes(fields: dict[str, Any]) -> dict[str, Any]:
    context = fields.get("context")
    if not context or "local_time" not in context:
        return fields
    return {**fields, "context": {name: value for name, value in context.items() if name != "local_time"}}
