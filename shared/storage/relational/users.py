"""Accounts in Postgres: what the shop says of a shopper, and what features may read of it.

Called by   services/feature (routes, user_state.py), services/training (import)
Age         stored as a band: a year of birth is more than a list of products needs to know
Errors      sqlalchemy.exc.DBAPIError
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, update

from shared.contracts.identifiers import user_key as key_of
from shared.contracts.internal import Profile
from shared.contracts.users import Attribute, Consent, User, UserFields, UserPatch, UserRecord
from shared.storage.relational.json_text import storable_json
from shared.storage.relational.tables import users

# The bands of the Complete Journey, so that features learned there fit what a shop sends.
AGE_BAND_STARTS = (0, 19, 25, 35, 45, 55, 65)
AGE_BANDS = ("0-18", "19-24", "25-34", "35-44", "45-54", "55-64", "65+")

LOAD_CHUNK = 5000

UPSERT = text("""
INSERT INTO users AS known (user_id, age_band, gender, region, attributes, personalisation)
SELECT user_id, age_band, gender, region, attributes, personalisation
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS fields (
    user_id text, age_band text, gender text, region text, attributes jsonb, personalisation boolean)
ORDER BY user_id COLLATE "C"
ON CONFLICT (user_id) DO UPDATE SET
    age_band = excluded.age_band, gender = excluded.gender, region = excluded.region,
    attributes = excluded.attributes, personalisation = excluded.personalisation, updated_at = now()
WHERE (known.age_band, known.gender, known.region, known.attributes, known.personalisation)
    IS DISTINCT FROM
    (excluded.age_band, excluded.gender, excluded.region, excluded.attributes, excluded.personalisation)
RETURNING user_id
""")


def age_band(age: int) -> str:
    """Return the band of an age in years."""
    return AGE_BANDS[bisect_right(AGE_BAND_STARTS, age) - 1]


def upsert_users(connection: Connection, wanted: Sequence[User]) -> list[str]:
    """Write accounts whole; return the ids of those that are new or changed. The last of several of one id counts."""
    rows = [{"user_id": user.user_id, **_columns(user)} for user in {user.user_id: user for user in wanted}.values()]
    return list(connection.execute(UPSERT, {"rows": storable_json(rows)}).scalars()) if rows else []


def patch_user(connection: Connection, user_id: str, patch: UserPatch) -> UserRecord | None:
    """Change the fields that were set, None clears one; return the account, None if there is none."""
    said = patch.model_fields_set | ({"age_band"} if "age" in patch.model_fields_set else set())
    said |= {"personalisation"} if "consent" in said else set()
    values = {name: value for name, value in _columns(patch).items() if name in said}
    changed = connection.execute(
        update(users).where(users.c.user_id == user_id).values(**values, updated_at=func.now()).returning(users)
    ).first()
    return None if changed is None else _record(changed)


def get_user(connection: Connection, user_id: str) -> UserRecord | None:
    """Return an account."""
    found = connection.execute(select(users).where(users.c.user_id == user_id)).first()
    return None if found is None else _record(found)


def profile_of(connection: Connection, user_key: str) -> Profile:
    """Return what features may read of a shopper; visitors and unknown accounts have an empty profile."""
    kind, _, user_id = user_key.partition(":")
    found = get_user(connection, user_id) if kind == "u" else None
    return Profile() if found is None else _profile(found)


def load_profiles(connection: Connection) -> Iterator[tuple[str, Profile]]:
    """Yield every account's user_key and profile, in the order of their ids."""
    rows = connection.execute(select(users).order_by(users.c.user_id), execution_options={"yield_per": LOAD_CHUNK})
    return ((key_of(row.user_id, None), _profile(_record(row))) for row in rows)


def _profile(found: UserRecord) -> Profile:
    return Profile(
        age_band=found.age_band,
        gender=found.gender,
        region=found.region,
        attributes={name: _category(value) for name, value in (found.attributes or {}).items() if value is not None},
        personalisation=found.consent is None or found.consent.personalisation,
    )


def _columns(user: UserFields) -> dict[str, Any]:
    band = user.age_band if user.age_band is not None or user.age is None else age_band(user.age)
    return {
        "age_band": band,
        "gender": user.gender,
        "region": user.region,
        "attributes": user.attributes or {},
        "personalisation": user.consent is None or user.consent.personalisation,
    }


def _category(value: Attribute) -> str:
    """Return the name of the category a value stands for: features know no numbers here."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _record(row: Row[Any]) -> UserRecord:
    return UserRecord(
        user_id=row.user_id,
        age_band=row.age_band,
        gender=row.gender,
        region=row.region,
        attributes=row.attributes,
        consent=Consent(personalisation=row.personalisation),
    )
