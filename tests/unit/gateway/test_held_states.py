"""A state is asked for once while its shopper's version stands; who changed, or waited too long, is asked for anew."""

import orjson

from services.gateway.held_states import HELD_MS, HeldStates, State
from shared.service.http_client import Reply
from tests.fakes import json_of
from tests.unit.gateway.rig import Rig


def state(version: str, size: int = 0) -> State:
    """Return a state whose body has a size."""
    return State(b"x" * size, version)


def feature_says(rig: Rig, version: str) -> None:
    """Let feature send a state of this version, and the cache name the same."""
    rig.cache.users["u:1"] = version
    rig.feature.on("POST", "/state", lambda _: json_of({"user_key": "u:1", "version": version, "as_of_ms": 0}))


def states_ranked(rig: Rig) -> list[str]:
    """Return the version of the state in every call of ranking."""
    return [orjson.loads(body or b"")["state"]["version"] for body in rig.ranking.calls["POST", "/rank"]]


async def test_other_lists_of_one_shopper_are_made_of_one_state_until_the_version_changes(rig: Rig) -> None:
    feature_says(rig, "s1")
    async with rig.started() as gateway:
        for query in ("tea", "cups"):
            await gateway.recommend(context={"query": query})
        assert rig.feature.number_of("POST", "/state") == 1
        feature_says(rig, "s2")
        await gateway.recommend(context={"query": "jam"})
    assert rig.feature.number_of("POST", "/state") == 2
    assert states_ranked(rig) == ["s1", "s1", "s2"]


async def test_a_state_is_asked_for_anew_when_it_is_as_old_as_a_list_may_be(rig: Rig) -> None:
    feature_says(rig, "s1")
    async with rig.started() as gateway:
        await gateway.recommend(context={"query": "tea"})
        rig.clock.advance(HELD_MS / 1000 + 1)
        await gateway.recommend(context={"query": "cups"})
    assert rig.feature.number_of("POST", "/state") == 2


async def test_while_nobody_says_the_version_feature_is_asked_every_time(rig: Rig) -> None:
    feature_says(rig, "s1")
    rig.cache.down = True
    async with rig.started() as gateway:
        for query in ("tea", "cups"):
            await gateway.recommend(context={"query": query})
    assert rig.feature.number_of("POST", "/state") == 2


async def test_a_state_without_a_version_is_no_state(rig: Rig) -> None:
    rig.feature.on("POST", "/state", lambda _: Reply(200, b'{"user_key": "u:1"}'))
    async with rig.started() as gateway:
        reply = await gateway.recommend()
    assert (reply["served_from"], reply["degraded_reason"]) == ("live", "feature_unavailable")


def test_no_more_is_held_than_there_is_room_for_and_the_oldest_goes_first() -> None:
    held = HeldStates(most_bytes=100)
    for number in range(3):
        held.hold(f"u:{number}", state("v", size=40), now_ms=number)
    assert [held.of(f"u:{number}", "v", now_ms=3) is not None for number in range(3)] == [False, True, True]
    held.hold("u:2", state("w", size=10), now_ms=4)
    held.hold("u:3", state("v", size=50), now_ms=5)
    assert [
        held.of(*key, now_ms=5) is not None for key in (("u:1", "v"), ("u:2", "v"), ("u:2", "w"), ("u:3", "v"))
    ] == [
        True,
        False,
        True,
        True,
    ]


def test_what_is_too_old_to_be_used_is_not_kept() -> None:
    held = HeldStates(held_ms=1000)
    held.hold("u:1", state("v"), now_ms=0)
    held.hold("u:2", state("v"), now_ms=2000)
    assert held.of("u:1", "v", now_ms=500) is None
    assert held.of("u:2", "v", now_ms=2500) == state("v")
