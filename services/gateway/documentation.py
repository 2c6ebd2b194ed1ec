"""What GET /openapi.json says of the gateway's calls beyond their code: parameters, and an example that runs.

Called by   services/gateway/routes.py, main.py (with_access)
"""

from typing import Any

from services.gateway.scopes import PROBES, scope_of
from shared.contracts.catalogue import ItemPatch, ItemsUpsert
from shared.contracts.events import Event
from shared.contracts.explanation import ExplainRequest
from shared.contracts.recommendation import MAX_NUM_ITEMS, BatchRequest, Context, RecommendRequest
from shared.contracts.users import UserMerge, UserPatch, UsersUpsert
from shared.service.openapi import PROBLEM_REPLY, JsonBody, json_body, parameter

KEY_SCHEME = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 128}
NUM_ITEMS = {"type": "integer", "minimum": 1, "maximum": MAX_NUM_ITEMS, "default": 10}
FILTER = {"type": "string", "maxLength": 5000}
TEXT = {"type": "string"}

_num_items = parameter("num_items", "query", NUM_ITEMS, "length of the list", 5)
_filter = parameter("filter", "query", FILTER, "which items may appear", "in_stock and price <= 50")

EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"description": "one JSON document a line", "content": {"application/x-ndjson": {}}},
    "4XX": PROBLEM_REPLY,
    "5XX": PROBLEM_REPLY,
}

RECOMMEND_EXAMPLE = {
    "user_id": 42,
    "num_items": 10,
    "context": {
        "page": "product",
        "item_id": 17,
        "device": "mobile",
        "local_time": "2026-03-14T18:30:00+01:00",
        "budget": {"max": 60},
    },
    "filter": "in_stock and price <= 60",
    "return": {"fields": ["title", "price"], "explain": "reasons"},
}
EVENT_EXAMPLE = {"type": "purchase", "user_id": 42, "items": [{"item_id": 17, "quantity": 2, "price": 9.5}]}
ITEM_EXAMPLE = {"item_id": 17, "title": "Espresso cups", "categories": ["Kitchen", "Cups"], "price": 9.5, "stock": 12}


def _with(body: JsonBody, *parameters: dict[str, Any]) -> JsonBody:
    body["parameters"] = list(parameters)
    return body


def item_path() -> dict[str, Any]:
    """Return the parameter {item_id}."""
    return parameter("item_id", "path", IDENTIFIER, "an item of the catalogue", "17")


def user_path() -> dict[str, Any]:
    """Return the parameter {user_id}."""
    return parameter("user_id", "path", IDENTIFIER, "an account", "42")


_short_form: dict[str, dict[str, Any]] = {
    "user_id": IDENTIFIER,
    "visitor_id": IDENTIFIER,
    "session_id": IDENTIFIER,
    "num_items": NUM_ITEMS,
    "scenario": TEXT,
    "filter": FILTER,
    "diversity": {"type": "number", "minimum": 0, "maximum": 1},
    "novelty": {"type": "number", "minimum": 0, "maximum": 1},
    "repeat": {"type": "string", "enum": ["auto", "hide_bought", "allow"]},
    "timeout_ms": {"type": "integer", "minimum": 20, "maximum": 10_000},
    "dry_run": {"type": "boolean", "default": False},
}
RECOMMEND = _with(
    json_body(RecommendRequest, Context, example=RECOMMEND_EXAMPLE, required=False),
    *(
        parameter(name, "query", schema, "short form: the body, if any, is then the context object itself")
        for name, schema in _short_form.items()
    ),
)
BATCH = json_body(
    BatchRequest,
    example={"requests": [{"user_id": 42, "num_items": 5}, {"user_id": 42, "scenario": "cart"}], "distinct": True},
)
EXPLAIN = _with(
    json_body(ExplainRequest, example={"user_id": 42, "item_id": 17, "context": {"page": "home", "language": "en"}}),
    parameter(
        "Accept-Language", "header", TEXT, "zh: sentences in Chinese; else in English. context.language goes before it"
    ),
)
SIMILAR = {
    "parameters": [
        item_path(),
        parameter(
            "kind",
            "query",
            {"type": "string", "enum": ["similar", "bought_together", "viewed_together", "looks_like"]},
            "in which sense alike",
            "similar",
        ),
        _num_items,
        parameter("user_id", "query", IDENTIFIER, "for whom; the list is then remembered as shown to them"),
        _filter,
    ]
}
LISTING = {
    "parameters": [
        parameter("category", "query", TEXT, "of this category only"),
        parameter("window", "query", TEXT, "the days counted: 30d for popular and new, 7d for trending"),
        _num_items,
        _filter,
        parameter("If-None-Match", "header", TEXT, "the ETag of an earlier answer: 304 if nothing changed"),
    ]
}
EVENTS = json_body(Event, example={"events": [EVENT_EXAMPLE]})
EVENTS["requestBody"]["content"]["application/json"]["schema"] = {
    "anyOf": [
        {"$ref": "#/components/schemas/Event"},
        {"type": "array", "items": {"$ref": "#/components/schemas/Event"}, "maxItems": 1000},
        {
            "type": "object",
            "properties": {
                "events": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}, "maxItems": 1000}
            },
            "required": ["events"],
            "additionalProperties": False,
        },
    ]
}
ITEMS = json_body(ItemsUpsert, example={"items": [ITEM_EXAMPLE]})
ITEM_PATCH = _with(json_body(ItemPatch, example={"price": 8.5, "stock": 11}), item_path())
ITEM = {"parameters": [item_path()]}
USERS = json_body(UsersUpsert, example={"users": [{"user_id": 42, "age": 31, "region": "north"}]})
USER_PATCH = _with(json_body(UserPatch, example={"consent": {"personalisation": True}}), user_path())
USER_MERGE = json_body(UserMerge, example={"visitor_id": "v-81", "user_id": 42})
USER = {"parameters": [user_path()]}


def with_access(document: dict[str, Any]) -> dict[str, Any]:
    """Say in the OpenAPI document which calls need a key, and of which scope."""
    document["components"]["securitySchemes"] = {"ApiKey": KEY_SCHEME}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path not in PROBES:
                operation |= {"security": [{"ApiKey": []}], "x-scope": scope_of(method.upper(), path).value}
                operation["responses"].setdefault("4XX", PROBLEM_REPLY)
    return document
