"""Every table of Aisle. What is here describes; deploy/migrations creates, and a test compares the two.

Called by   the other files of this folder, deploy/migrations
Partitions  interactions and impressions by month, made when they are first needed (partitions.py); event_receipts by
            hash of event_id, since a table partitioned by time cannot promise that an event_id occurs once
Keys        user_key is "u:<account>" or "v:<visitor>" (shared/contracts/identifiers.py); each query by key has an index
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    CHAR,
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

NUM_RECEIPT_PARTITIONS = 16

metadata = MetaData()
# Compared by bytes, as Python compares them: the order (time, event id) must not depend on the server's language.
Key = Text(collation="C")
Json = JSONB(none_as_null=True)
Moment = DateTime(timezone=True)
NOW = text("now()")
NAMES_A_LIST = text("recommendation_id IS NOT NULL")
NO_VALUES = text("'{}'::jsonb")


def _required(
    name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *extra: Identity, **options: Any
) -> Column[Any]:
    return Column(name, kind, *extra, nullable=False, **options)


interactions = Table(
    "interactions",
    metadata,
    _required("event_id", Key),
    _required("type", SmallInteger, comment="shared.contracts.events.EVENT_TYPE_CODES"),
    _required("user_key", Key),
    Column("item_id", Key, comment="null for a search"),
    _required("occurred_at", Moment, comment="whole milliseconds"),
    _required("received_at", Moment),
    _required("quantity", REAL),
    Column("price", REAL, comment="per unit"),
    Column("value", REAL, comment="rating 1 to 5, or money"),
    Column("session_id", Key),
    Column("order_id", Key),
    Column("recommendation_id", Key),
    Column("position", SmallInteger),
    Column("currency", CHAR(3)),
    Column("context", Json),
    # A shopper's newest events, in the order (time, event id) that every reader uses.
    Index("interactions_by_user", "user_key", text("occurred_at DESC"), text("event_id DESC")),
    # The acts that name a list: few of all events.
    Index("interactions_by_recommendation", "recommendation_id", postgresql_where=NAMES_A_LIST),
    postgresql_partition_by="RANGE (occurred_at)",
)

event_receipts = Table(
    "event_receipts",
    metadata,
    Column("event_id", Key, primary_key=True),
    _required("content_hash", LargeBinary, comment="16 bytes, shared.contracts.content_hash"),
    postgresql_partition_by="HASH (event_id)",
)

impressions = Table(
    "impressions",
    metadata,
    Column("recommendation_id", Key, primary_key=True),
    Column("made_at", Moment, primary_key=True),
    _required("user_key", Key),
    _required("scenario", Text),
    _required("item_ids", ARRAY(Text), comment="in the order shown"),
    Column("scores", ARRAY(REAL)),
    Column("propensities", ARRAY(REAL), comment="chance of each item to be shown at its place"),
    Column("features", Json, comment="what the ranking read, by name"),
    Column("context", Json),
    Column("model_version", Text),
    _required("arms", Json, server_default=NO_VALUES),
    _required("served_from", Text),
    _required("degraded_reason", Text),
    Column("session_id", Key),
    Index("impressions_by_user", "user_key", text("made_at DESC")),
    postgresql_partition_by="RANGE (made_at)",
)

items = Table(
    "items",
    metadata,
    Column("item_id", Key, primary_key=True),
    _required("id_is_integer", Boolean, comment="the shop writes the id as a JSON integer"),
    Column("title", Text),
    Column("description", Text),
    _required("categories", ARRAY(Text), comment="path, broadest first"),
    Column("brand", Text),
    Column("price", Double),
    Column("currency", CHAR(3)),
    Column("stock", BigInteger, comment="null: not tracked"),
    Column("rating", Double),
    _required("attributes", Json, server_default=NO_VALUES),
    Column("image_url", Text),
    Column("available_from", Moment),
    Column("available_until", Moment),
    _required("created_at", Moment, server_default=NOW),
    _required("deleted", Boolean, server_default=text("false")),
    _required("updated_at", Moment, server_default=NOW),
    _required("updated_seq", BigInteger, Identity(), comment="rises with every change of the row"),
    Index("items_by_change", "updated_at"),
)

users = Table(
    "users",
    metadata,
    Column("user_id", Key, primary_key=True),
    Column("age_band", Text),
    Column("gender", Text),
    Column("region", Text),
    _required("attributes", Json, server_default=NO_VALUES),
    _required("personalisation", Boolean, server_default=text("true")),
    _required("created_at", Moment, server_default=NOW),
    _required("updated_at", Moment, server_default=NOW),
)

user_merges = Table(
    "user_merges",
    metadata,
    Column("visitor_key", Key, primary_key=True),
    _required("user_key", Key),
    _required("merged_at", Moment),
    Index("user_merges_by_user", "user_key"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("user_key", Key, primary_key=True),
    _required("erased_at", Moment, comment="events from before are dropped when they arrive late"),
    _required("removed", Json, comment="rows by table"),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("version", Text, primary_key=True),
    _required("bundle_url", Text),
    _required("manifest", Json),
    _required("metrics", Json),
    _required("gate", Json, comment="the promotion gate's verdict, in words"),
    _required("created_at", Moment, server_default=NOW),
)

model_pointer = Table(
    "model_pointer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, comment="null: no model was ever published"),
    Column("previous_version", Text),
    _required("changed_at", Moment, server_default=NOW),
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    _required("state", Text),
    _required("step", Text),
    _required("progress", Double),
    _required("config", Json),
    _required("metrics", Json, server_default=NO_VALUES),
    Column("error", Text),
    Column("version", Text, comment="the bundle this run published"),
    _required("created_at", Moment, server_default=NOW),
    _required("updated_at", Moment, server_default=NOW),
    Index("training_runs_by_time", text("created_at DESC")),
)

rules = Table(
    "rules",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("scenario", Text, comment="null: every scenario"),
    _required("priority", Integer),
    _required("body", Json),
    _required("enabled", Boolean, server_default=text("true")),
    _required("updated_at", Moment, server_default=NOW),
)

scenarios = Table(
    "scenarios",
    metadata,
    Column("name", Text, primary_key=True),
    _required("body", Json),
    _required("updated_at", Moment, server_default=NOW),
)

experiments = Table(
    "experiments",
    metadata,
    Column("name", Text, primary_key=True),
    _required("arms", Json),
    _required("enabled", Boolean, server_default=text("false")),
    _required("updated_at", Moment, server_default=NOW),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True, comment="SHA-256 of the key; the key itself is nowhere"),
    _required("name", Text),
    _required("scopes", ARRAY(Text)),
    _required("created_at", Moment, server_default=NOW),
    Column("revoked_at", Moment),
    Column("expires_at", Moment, comment="null: never"),
    Column("requests_per_s", REAL, comment="null: the limit of the settings"),
)
