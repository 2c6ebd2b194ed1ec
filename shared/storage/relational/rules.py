"""Merchandising rules and scenarios as rows: read all, write one, remove one.

Called by   services/command (aisle rules, aisle scenarios), shared/storage/live_merchandising.py
Version     a hash of everything, so that the writer and every reader name one state alike, without a counter to share
Unreadable  a row of a later version of Aisle is left out and logged: the other rules go on
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from shared.contracts.merchandising import Merchandising, Rule, Scenario
from shared.contracts.strict import PublicModel
from shared.storage.relational.tables import rules, scenarios

RULE_COLUMNS = frozenset({"rule_id", "scenario", "priority", "enabled"})
VERSION_BYTES = 8

log = structlog.get_logger(__name__)
Model = TypeVar("Model", bound=PublicModel)


def load(connection: Connection) -> Merchandising:
    """Return all rules, the one with the highest priority first, and all scenarios."""
    found = connection.execute(select(rules).order_by(rules.c.priority.desc(), rules.c.rule_id))
    of_rules = [{name: getattr(row, name) for name in RULE_COLUMNS} | row.body for row in found]
    of_scenarios = [
        {"name": row.name} | row.body for row in connection.execute(select(scenarios).order_by(scenarios.c.name))
    ]
    return _versioned(tuple(_readable(Rule, of_rules)), tuple(_readable(Scenario, of_scenarios)))


def put_rule(connection: Connection, rule: Rule) -> None:
    """Add a rule, or replace the one of that id."""
    body = rule.model_dump(mode="json", exclude=set(RULE_COLUMNS), exclude_defaults=True)
    values = {name: getattr(rule, name) for name in RULE_COLUMNS} | {"body": body}
    statement = insert(rules).values(**values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["rule_id"], set_=values | {"updated_at": func.now()})
    )


def remove_rule(connection: Connection, rule_id: str) -> bool:
    """Remove a rule; False when there is none of that id."""
    return connection.execute(delete(rules).where(rules.c.rule_id == rule_id)).rowcount == 1


def put_scenario(connection: Connection, scenario: Scenario) -> None:
    """Add a scenario, or replace the one of that name."""
    values = {"name": scenario.name, "body": scenario.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)}
    statement = insert(scenarios).values(**values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_=values | {"updated_at": func.now()})
    )


def remove_scenario(connection: Connection, name: str) -> bool:
    """Remove a scenario; False when there is none of that name."""
    return connection.execute(delete(scenarios).where(scenarios.c.name == name)).rowcount == 1


def _readable(model: type[Model], rows: Iterable[dict[str, Any]]) -> Iterable[Model]:
    for row in rows:
        try:
            yield model.model_validate(row)
        except ValidationError as error:
            log.warning("row_left_out", kind=model.__name__, errors=error.error_count())


def _versioned(of_rules: tuple[Rule, ...], of_scenarios: tuple[Scenario, ...]) -> Merchandising:
    unnamed = Merchandising(rules=of_rules, scenarios=of_scenarios)
    digest = blake2b(unnamed.model_dump_json().encode(), digest_size=VERSION_BYTES).hexdigest()
    return unnamed.model_copy(update={"version": digest})
