"""Accounts: written, changed, merged, exported and erased, with late events judged by what happened before."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from shared.contracts.impressions import Impression
from shared.contracts.internal import Profile
from shared.contracts.times import epoch_ms
from shared.contracts.users import Consent, User, UserPatch
from shared.storage.relational.erasure import erase_as_of, erase_user, export_user, forgotten_erasures, merge_visitor
from shared.storage.relational.impressions import insert_impressions
from shared.storage.relational.interactions import insert_once, newest_events
from shared.storage.relational.users import get_user, patch_user, profile_of, upsert_users
from tests.integration.test_storage_interactions import NOON, count, stored_event

ANNA = User(user_id="1", age=34, gender="f", region="north", attributes={"kids": 2, "member": True, "gap": None})


def impression(recommendation_id: str, user_key: str = "u:1", made_at: datetime = NOON) -> Impression:
    return Impression(
        recommendation_id=recommendation_id,
        made_at_ms=epoch_ms(made_at),
        user_key=user_key,
        scenario="home",
        item_ids=["a", "b"],
        scores=[0.5, 0.25],
        served_from="live",
        degraded_reason="none",
    )


def test_profile_holds_the_age_as_a_band_and_attributes_as_category_names(engine: Engine) -> None:
    with engine.begin() as connection:
        assert upsert_users(connection, [ANNA]) == ["1"]
        assert upsert_users(connection, [ANNA]) == []

        assert profile_of(connection, "u:1") == Profile(
            age_band="25-34", gender="f", region="north", attributes={"kids": "2", "member": "true"}
        )
        assert profile_of(connection, "v:1") == profile_of(connection, "u:2") == Profile()


def test_a_patch_changes_only_the_fields_that_were_set(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_users(connection, [ANNA])
        patched = patch_user(connection, "1", UserPatch(age=70, gender=None, consent=Consent(personalisation=False)))

        assert patched == get_user(connection, "1")
        assert patched is not None
        assert (patched.age_band, patched.gender, patched.region) == ("65+", None, "north")
        assert not profile_of(connection, "u:1").personalisation
        assert patch_user(connection, "2", UserPatch(age=3)) is None


def test_merging_a_visitor_moves_events_and_impressions_and_events_that_come_late(engine: Engine) -> None:
    late = stored_event("late", user_key="v:cookie", occurred_at=NOON - timedelta(hours=1))
    with engine.begin() as connection:
        insert_once(connection, [stored_event("a", user_key="v:cookie"), stored_event("b")])
        insert_impressions(connection, [impression("r1", user_key="v:cookie")])
        assert merge_visitor(connection, "cookie", "1") == 1
    with engine.begin() as connection:
        outcome = insert_once(connection, [late, stored_event("new", user_key="v:cookie", occurred_at=_tomorrow())])
        assert insert_once(connection, [late]).duplicates[0].user_key == "u:1"

        assert [event.user_key for event in outcome.new] == ["u:1", "v:cookie"]
        assert [event.event_id for event in newest_events(connection, "u:1", 9)] == ["late", "a", "b"]
        assert [event.event_id for event in newest_events(connection, "v:cookie", 9)] == ["new"]
        assert connection.execute(text("SELECT user_key FROM impressions")).scalars().all() == ["u:1"]


def test_export_names_every_record_and_is_in_the_words_of_the_api(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_users(connection, [ANNA])
        insert_once(connection, [stored_event("b"), stored_event("a"), stored_event("c", user_key="u:2")])
        insert_impressions(connection, [impression("r1"), impression("r2", user_key="u:2")])
        merge_visitor(connection, "cookie", "1")
        records = list(export_user(connection, "1"))

    assert [record["record"] for record in records] == [
        "user", "merged_visitor", "interaction", "interaction", "impression",
    ]  # fmt: skip
    assert [record["event_id"] for record in records[2:4]] == ["a", "b"]
    assert records[2]["type"] == "purchase"


def test_erasure_removes_every_row_and_drops_late_events_but_not_later_ones(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_users(connection, [ANNA])
        insert_once(connection, [stored_event("a"), stored_event("b"), stored_event("keep", user_key="u:2")])
        insert_impressions(connection, [impression("r1")])
        insert_once(connection, [stored_event("c", user_key="v:cookie")])
        merge_visitor(connection, "cookie", "1")
    with engine.begin() as connection:
        erasure = erase_user(connection, "1")
    with engine.begin() as connection:
        outcome = insert_once(
            connection,
            [
                stored_event("a"),
                stored_event("late", user_key="v:cookie"),
                stored_event("back", occurred_at=_tomorrow()),
            ],
        )
        assert insert_impressions(connection, [impression("r1")]) == []

    assert erasure.user_keys == ("u:1", "v:cookie")
    assert erasure.removed == {"event_receipts": 3, "interactions": 3, "impressions": 1, "user_merges": 1, "users": 1}
    assert [event.event_id for event in outcome.erased] == ["a", "late"]
    assert [event.event_id for event in outcome.new] == ["back"]
    assert count(engine, "interactions") == count(engine, "event_receipts") == 2


def test_what_is_older_than_an_erasure_goes_and_what_is_newer_stays(engine: Engine) -> None:
    with engine.begin() as connection:
        # What a backup from before the erasure brings back, and what the shopper did since.
        insert_once(connection, [stored_event("a"), stored_event("back", occurred_at=_tomorrow())])
        insert_impressions(connection, [impression("r1"), impression("r2", made_at=_tomorrow())])
        erased = erase_as_of(connection, "u:1", NOON + timedelta(hours=1))

        assert {table: rows for table, rows in erased.removed.items() if rows} == {
            "event_receipts": 1, "interactions": 1, "impressions": 1,
        }  # fmt: skip
        assert forgotten_erasures(connection, {"u:1": NOON, "u:2": NOON, "u:1 ": NOON}) == ["u:2", "u:1 "]
        assert forgotten_erasures(connection, {"u:1": NOON + timedelta(hours=2)}) == ["u:1"]


def test_an_impression_that_arrives_twice_is_stored_once(engine: Engine) -> None:
    with engine.begin() as connection:
        assert len(insert_impressions(connection, [impression("r1"), impression("r2", made_at=_tomorrow())])) == 2
        assert [
            new.recommendation_id for new in insert_impressions(connection, [impression("r1"), impression("r3")])
        ] == ["r3"]
        assert connection.execute(text("SELECT count(*) FROM impressions WHERE features IS NULL")).scalar_one() == 3


def _tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)
