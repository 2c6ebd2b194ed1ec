"""aisle rules: pin, boost, bury and hide items, cap brands and categories; each rule acts within two seconds.

Called by   services/command/main.py
Exit code   0 done; 1 Postgres or Redis cannot be reached; 2 a rule that makes no sense, a pin of an unknown item
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shared.contracts.merchandising import Rule
    from shared.storage.relational.engine import Connection

rules = typer.Typer(no_args_is_help=True, help="Merchandising rules: pin, boost, bury, hide, cap.")

RuleId = Annotated[str, typer.Argument(help="name of the rule; a rule of that name is replaced")]
Action = Annotated[str, typer.Argument(help="pin, boost, bury, hide or cap")]
Items = Annotated[list[str] | None, typer.Option("--item", help="item id; may be repeated")]
Filter = Annotated[str | None, typer.Option(help="as in POST /recommend: 'category == \"shoes\" and price < 50'")]
Place = Annotated[int | None, typer.Option(help="pin: place of the first item, from 1")]
Strength = Annotated[float | None, typer.Option(help="boost, bury: in standard deviations of the scores, up to 10")]
By = Annotated[str | None, typer.Option(help="cap: brand or category")]
Most = Annotated[int | None, typer.Option(help="cap: items of one brand or category in a list")]
InScenario = Annotated[str | None, typer.Option("--scenario", help="only in this scenario; else in all")]
Starts = Annotated[str | None, typer.Option("--from", help="first moment, ISO 8601 with zone")]
Ends = Annotated[str | None, typer.Option("--until", help="end, not included, ISO 8601 with zone")]
Priority = Annotated[int | None, typer.Option(help="of two pins for one place the higher gets it")]
Disabled = Annotated[bool, typer.Option("--disabled", help="keep the rule without acting on it")]


def register(app: typer.Typer) -> None:
    """Add `aisle rules`."""
    app.add_typer(rules, name="rules")


@rules.command("set")
def set_rule(
    rule_id: RuleId,
    action: Action,
    item: Items = None,
    filter: Filter = None,
    place: Place = None,
    strength: Strength = None,
    by: By = None,
    most: Most = None,
    scenario: InScenario = None,
    starts: Starts = None,
    ends: Ends = None,
    priority: Priority = None,
    disabled: Disabled = False,
) -> None:
    """Add a rule, or replace the one of that name."""
    from services.command.merchandising import change
    from shared.storage.relational.rules import put_rule

    given: dict[str, Any] = {"rule_id": rule_id, "action": action, "items": item, "filter": filter, "place": place}
    given |= {"strength": strength, "by": by, "most": most, "scenario": scenario}
    given |= {"starts_at": starts, "ends_at": ends, "priority": priority, "enabled": not disabled}
    rule = _rule({name: value for name, value in given.items() if value is not None})

    def write(connection: "Connection") -> None:
        _check_items(connection, rule)
        put_rule(connection, rule)

    change(write)
    typer.echo(f"Rule {rule_id}: {_in_words(rule)}")


@rules.command("remove")
def remove(rule_id: Annotated[str, typer.Argument(help="name of the rule")]) -> None:
    """Remove a rule."""
    from services.command.merchandising import change, refuse
    from shared.storage.relational.rules import remove_rule

    def write(connection: "Connection") -> None:
        if not remove_rule(connection, rule_id):
            refuse("There is no rule of that name.")

    change(write)
    typer.echo(f"Rule {rule_id} is gone.")


@rules.command("list")
def list_rules() -> None:
    """Print all rules, the one with the highest priority first."""
    from services.command.merchandising import read

    found = read().rules
    for rule in found:
        typer.echo(f"{rule.rule_id}: {_in_words(rule)}")
    if not found:
        typer.echo("No rules.")


def _rule(given: dict[str, Any]) -> "Rule":
    from pydantic import ValidationError

    from services.command.merchandising import refuse, refuse_invalid
    from shared.contracts.merchandising import Rule
    from shared.features.filter import FilterError, parse_filter

    try:
        rule = Rule.model_validate(given)
        if rule.filter is not None:
            parse_filter(rule.filter)
    except ValidationError as error:
        refuse_invalid(error)
    except FilterError as error:
        refuse(f"filter: {error}")
    return rule


def _check_items(connection: "Connection", rule: "Rule") -> None:
    """Refuse a pin of an item that does not exist; warn of one that cannot be sold now, since stock comes back."""
    from services.command.merchandising import refuse
    from shared.storage.relational.catalogue import get_item

    for item_id in rule.items if rule.action == "pin" else ():
        item = get_item(connection, item_id)
        if item is None or item.deleted:
            refuse("A pinned item is not in the catalogue.")
        if item.stock is not None and item.stock <= 0:
            typer.secho(f"{item_id} is out of stock: it is not shown until it can be sold.", err=True)


def _in_words(rule: "Rule") -> str:
    what = ", ".join(rule.items) if rule.items else rule.filter or "all items"
    details: Iterable[tuple[str, object]] = (
        ("at place", rule.place if rule.action == "pin" else None),
        ("by", rule.strength if rule.action in ("boost", "bury") else None),
        ("at most", f"{rule.most} of one {rule.by}" if rule.action == "cap" else None),
        ("in", rule.scenario),
        ("from", rule.starts_at),
        ("until", rule.ends_at),
        ("priority", rule.priority or None),
    )
    words = "".join(f", {name} {value}" for name, value in details if value is not None)
    return f"{rule.action} {what}{words}{'' if rule.enabled else ' (disabled)'}"
