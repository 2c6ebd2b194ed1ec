"""No two requests share a cached list, no two things share a key: whatever their identifiers are made of."""

import os
from dataclasses import replace
from datetime import UTC
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.gateway.request_key import normalise
from shared.contracts.identifiers import normalise_identifier, user_key
from shared.contracts.recommendation import RecommendRequest
from shared.storage.redis.keys import Keys

EXAMPLES = 2000 if os.environ.get("FUZZ_SECONDS") else 100
NOW_MS = 1_770_000_000_000


def is_identifier(text: str) -> bool:
    try:
        return normalise_identifier(text) == text
    except ValueError:
        return False


# Mostly of what separates the parts of a key, and of letters with two forms.
IDENTIFIERS = st.one_of(
    st.text(alphabet=":uv0aé-*[]{}", min_size=1, max_size=8), st.text(min_size=1, max_size=20)
).filter(is_identifier)
FILTERS = st.none() | st.sampled_from(
    ["in_stock", "in_stock ", "price < 5", "price < 5.0", 'brand = "a"', 'brand = "b"']
)
CONTEXTS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "page": st.sampled_from(["home", "cart"]),
        "query": st.text(alphabet='ab"{},:', max_size=4),
        "anything": st.recursive(st.integers(-2, 2) | st.text(alphabet='a"', max_size=2), st.lists, max_leaves=3),
    },
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "num_items": st.integers(1, 3),
        "filter": FILTERS,
        "context": CONTEXTS,
        "exclude": st.lists(IDENTIFIERS, max_size=2),
        "candidates": st.none() | st.lists(IDENTIFIERS, max_size=2),
        "diversity": st.none() | st.sampled_from([0.0, 0.5]),
        "repeat": st.sampled_from(["auto", "allow"]),
        "return": st.fixed_dictionaries(
            {}, optional={"fields": st.lists(st.sampled_from(["title", "price"]), max_size=2)}
        ),
    },
)


def asked(shopper: tuple[str, str], wishes: dict[str, Any]) -> RecommendRequest:
    kind, identifier = shopper
    return RecommendRequest.model_validate(
        {kind: identifier, **{k: v for k, v in wishes.items() if k != "num_items" or v}}
    )


SHOPPERS = st.tuples(st.sampled_from(["user_id", "visitor_id"]), IDENTIFIERS)


@settings(max_examples=EXAMPLES, deadline=None)
@given(SHOPPERS, SHOPPERS, REQUESTS, REQUESTS)
def test_two_requests_share_a_cached_list_only_if_they_ask_the_same(
    one: tuple[str, str], other: tuple[str, str], wishes: dict[str, Any], others: dict[str, Any]
) -> None:
    first, second = asked(one, wishes), asked(other, others)
    keys = [normalise(request, NOW_MS, UTC) for request in (first, second)]
    same = first.model_dump() == second.model_dump()
    names = {Keys("aisle").cached_list(key.user_key, key.request_hash) for key in keys}
    # The page stands for the scenario that a request does not name, so two that differ in it alone differ, too.
    assert (len(names) == 1) == same
    again = normalise(asked(one, dict(reversed(wishes.items()))), NOW_MS + 1, UTC)
    assert again.request_hash == keys[0].request_hash


@settings(max_examples=EXAMPLES, deadline=None)
@given(SHOPPERS, SHOPPERS, IDENTIFIERS)
def test_no_two_things_of_two_shoppers_share_a_key(one: tuple[str, str], other: tuple[str, str], event_id: str) -> None:
    assume(one != other)
    made: list[str] = []
    for kind, identifier in (one, other):
        shopper = user_key(identifier, None) if kind == "user_id" else user_key(None, identifier)
        keys = Keys("aisle")
        made += [keys.user_events(shopper), keys.user_profile(shopper), keys.user_version(shopper)]
        made += [keys.cached_list(shopper, "0" * 32), keys.list_lock(shopper, "0" * 32)]
    keys = Keys("aisle")
    made += [keys.claim(event_id), keys.events(0), keys.dead_events(), keys.impressions(), keys.dead_impressions()]
    made += [
        keys.changes(),
        keys.api_keys(),
        keys.tombstones(),
        keys.rate("0" * 12),
        keys.lists(),
    ]
    made += [keys.rules_version(), replace(keys, namespace="aisle-2").lists()]
    assert len(set(made)) == len(made)
