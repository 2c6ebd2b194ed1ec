"""aisle scenarios: what holds in a placement where a request says nothing else: diversity, novelty, objective.

Called by   services/command/main.py
Exit code   0 done; 1 Postgres or Redis cannot be reached; 2 a setting that makes no sense
"""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.storage.relational.engine import Connection

scenarios = typer.Typer(no_args_is_help=True, help="Defaults of each placement.")

Name = Annotated[str, typer.Argument(help="the scenario of POST /recommend: home, product, cart, ...")]
Diversity = Annotated[float, typer.Option(help="0 to 1")]
Novelty = Annotated[float, typer.Option(help="0 to 1")]
Click = Annotated[float | None, typer.Option(help="objective: weight of a click")]
Purchase = Annotated[float | None, typer.Option(help="objective: weight of a purchase")]
Revenue = Annotated[float | None, typer.Option(help="objective: weight of revenue")]
Method = Annotated[str, typer.Option(help="how lists are made diverse: dpp, mmr or calibrated")]
NewPlaces = Annotated[int, typer.Option(help="where novelty is above 0: places for items never shown yet, 0 to 5")]


def register(app: typer.Typer) -> None:
    """Add `aisle scenarios`."""
    app.add_typer(scenarios, name="scenarios")


@scenarios.command("set")
def set_scenario(
    name: Name,
    diversity: Diversity = 0.0,
    novelty: Novelty = 0.0,
    click: Click = None,
    purchase: Purchase = None,
    revenue: Revenue = None,
    method: Method = "dpp",
    new_item_places: NewPlaces = 1,
) -> None:
    """Set a scenario; what is not named has its default again."""
    from pydantic import ValidationError

    from services.command.merchandising import change, refuse_invalid
    from shared.contracts.merchandising import Scenario
    from shared.storage.relational.rules import put_scenario

    weights = {"click": click, "purchase": purchase, "revenue": revenue}
    objective = {weight: value for weight, value in weights.items() if value is not None} or None
    given = {"name": name, "diversity": diversity, "novelty": novelty, "objective": objective}
    try:
        scenario = Scenario.model_validate(given | {"method": method, "new_item_places": new_item_places})
    except ValidationError as error:
        refuse_invalid(error)
    change(lambda connection: put_scenario(connection, scenario))
    typer.echo(f"Scenario {name}: diversity {diversity} ({method}), novelty {novelty}, objective {objective or 'none'}")


@scenarios.command("remove")
def remove(name: Name) -> None:
    """Remove a scenario: its lists are in the pure order again."""
    from services.command.merchandising import change, refuse
    from shared.storage.relational.rules import remove_scenario

    def write(connection: "Connection") -> None:
        if not remove_scenario(connection, name):
            refuse("There is no scenario of that name.")

    change(write)
    typer.echo(f"Scenario {name} has its defaults again.")


@scenarios.command("list")
def list_scenarios() -> None:
    """Print all scenarios that were set."""
    from services.command.merchandising import read

    found = read().scenarios
    for scenario in found:
        typer.echo(scenario.model_dump_json(exclude_none=True))
    if not found:
        typer.echo("No scenarios are set.")
