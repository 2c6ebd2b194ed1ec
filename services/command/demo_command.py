"""aisle demo: a real shop's log, a trained model, running services and real recommendations, in one command.

Called by   make demo
Steps       start the platform → import The Complete Journey → train → recommend → buy → recommend again
Again       what is there is used again: a second run only asks for lists
Errors      the step that failed is named and its exit code kept; the platform stays up for a look
"""

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from services.command.api_client import ApiClient, gateway_client, service_client
from shared.service.settings import Settings

NUM_ITEMS = 8
EFFECT_TIMEOUT_S = 5.0
MODEL_TIMEOUT_S = 60.0
METRICS = ("HR@10", "HR@50", "NDCG@10", "NDCG@50", "MRR", "AUC", "coverage")

console = Console()


def register(app: typer.Typer) -> None:
    """Add `aisle demo`."""
    app.command("demo")(run_demo)


def run_demo() -> None:
    """Start everything on a real shop's log, train, and recommend; what an earlier run did is used again."""
    started = time.monotonic()
    run_step("Start the stores and the services", "up")
    settings = Settings.load()  # only now: the first start makes the token that the services ask for
    gateway, training = gateway_client(settings), service_client(settings, settings.training_url)
    users = import_once(settings.home / "demo" / "users.json")
    if training.get("/models")["current"] is None:
        run_step("Train, evaluate and publish a model", "train")
    model = wait_for_model(service_client(settings, settings.ranking_url), training.get("/models")["current"])
    show_lists(gateway, users)
    show_metrics(model)
    show_addresses(settings)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. The platform keeps running: make status, make down.")


def run_step(title: str, *arguments: str) -> None:
    """Run another aisle command with its progress bars, and stop when it fails."""
    console.rule(f"[bold]{title}")
    finished = subprocess.run([sys.executable, "-m", "services.command.main", *arguments], check=False)
    if finished.returncode:
        console.print(f"[red]{title}: `aisle {' '.join(arguments)}` ended with {finished.returncode}[/red]")
        sys.exit(finished.returncode)


def import_once(marker: Path) -> list[str]:
    """Import the Complete Journey unless an earlier run did; return its households."""
    if not marker.exists():
        marker.parent.mkdir(parents=True, exist_ok=True)
        run_step("Import The Complete Journey", "import", "complete-journey", "--users-to", str(marker))
    return [str(user) for user in json.loads(marker.read_text())]


def wait_for_model(ranking: ApiClient, model: dict[str, Any]) -> dict[str, Any]:
    """Wait until ranking serves the registry's model; ranking looks for a new one every few seconds."""
    deadline = time.monotonic() + MODEL_TIMEOUT_S
    while time.monotonic() < deadline:
        if ranking.get("/model", accept=(200, 503)).get("version") == model["version"]:
            return model
        time.sleep(0.2)
    console.print(f"[red]ranking did not load model {model['version']} within {MODEL_TIMEOUT_S:.0f} s[/red]")
    sys.exit(1)


def show_lists(gateway: ApiClient, users: list[str]) -> None:
    """Recommend for a known household and for a stranger; let the stranger buy something and look again."""
    household, stranger = users[0], f"stranger-{uuid.uuid4().hex[:8]}"
    known = recommend(gateway, {"user_id": household})
    print_list(f"For household {household}", known)
    before = recommend(gateway, {"visitor_id": stranger})
    print_list("For a stranger", before)
    bought = known["recommendations"][0]
    event = {"type": "purchase", "visitor_id": stranger, "item_id": bought["item_id"], "event_id": uuid.uuid4().hex}
    receipt = gateway.post("/events", event)
    console.print(f"The stranger buys [bold]{title_of(bought)}[/bold]: {receipt}")
    after, waited_ms = wait_for_change(gateway, stranger, before)
    print_list(f"For the stranger, {waited_ms:.0f} ms after the event was accepted", after, before)


def recommend(gateway: ApiClient, shopper: dict[str, str]) -> dict[str, Any]:
    """Ask for a list with product names and reasons."""
    shape = {"fields": ["title", "price"], "explain": "reasons"}
    reply: dict[str, Any] = gateway.post("/recommend", {**shopper, "num_items": NUM_ITEMS, "return": shape})
    return reply


def wait_for_change(gateway: ApiClient, visitor: str, before: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Ask until the list differs; return it and how long that took in ms."""
    started = time.monotonic()
    while time.monotonic() - started < EFFECT_TIMEOUT_S:
        after = recommend(gateway, {"visitor_id": visitor})
        if item_ids(after) != item_ids(before):
            return after, (time.monotonic() - started) * 1000
        time.sleep(0.02)
    console.print(f"[red]the purchase changed nothing within {EFFECT_TIMEOUT_S:.0f} s[/red]")
    sys.exit(1)


def item_ids(reply: dict[str, Any]) -> list[Any]:
    """Return the items of a list, in order."""
    return [item["item_id"] for item in reply["recommendations"]]


def title_of(item: dict[str, Any]) -> str:
    """Return what a shopper would call an item."""
    return str((item.get("item") or {}).get("title") or item["item_id"])


def print_list(caption: str, reply: dict[str, Any], before: dict[str, Any] | None = None) -> None:
    """Print a list; with `before`, mark what is new in it."""
    footer = f"{reply['took_ms']:.1f} ms, {reply['served_from']}, {reply['degraded_reason']}"
    table = Table(title=f"{caption} ({footer})", title_justify="left")
    for column in ("#", "product", "price", "reason"):
        table.add_column(column)
    for item in reply["recommendations"]:
        new = before is not None and item["item_id"] not in item_ids(before)
        price = (item.get("item") or {}).get("price")
        reasons = item.get("reasons") or []
        table.add_row(
            f"{item['rank']}{' new' if new else ''}",
            title_of(item),
            "" if price is None else f"{price:.2f}",
            reasons[0]["text"] if reasons else "",
            style="green" if new else "",
        )
    console.print(table)


def show_metrics(model: dict[str, Any]) -> None:
    """Print the offline evaluation that the model's manifest carries."""
    evaluation = model["metrics"]["test"]
    table = Table(title="Offline evaluation on the last week, ranked against all items", title_justify="left")
    for column in ("source", *METRICS):
        table.add_column(column, justify="left" if column == "source" else "right")
    for row in evaluation["rows"]:
        table.add_row(row["source"], *(f"{row[metric]:.4f}" for metric in METRICS))
    console.print(table)


def show_addresses(settings: Settings) -> None:
    """Print where to look next; the other services answer to the internal token only."""
    console.print(f"gateway   {settings.gateway_url}/docs")
