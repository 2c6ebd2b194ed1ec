"""docs/benchmarks/quality.md, made from all result files: no number stands there that is not in a JSON file.

Called by   __main__.py after a run; `python -m benchmarks.quality.page` alone
In          benchmarks/results/quality/*.json; benchmarks/quality/published.json, what others report
Out         the page, and a picture for every table (plots.py)
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT
from benchmarks.quality.models import ROWS
from benchmarks.quality.plots import draw
from benchmarks.quality.result import FOLDER

PAGE = ROOT / "docs" / "benchmarks" / "quality.md"
PUBLISHED = Path(__file__).with_name("published.json")
HEAD = """# Quality of the lists

Every model of Aisle on public data, in one harness: `make bench-quality DATA=<name or folder>`. Nothing on this page is
typed by hand: it is made from `benchmarks/results/quality/*.json` and `benchmarks/quality/published.json`.

- **Ranking** is over all items of a data set, never against sampled negatives. Ties count at the middle of the places
  they share.
- **Track**: *no-query-time* tells the order of what a user did and nothing else; *past-times* also when each thing was
  done, so that a basket is told from what came days later, but not when the answer was given; *query-time* tells that,
  too. Rows of one table are always of one track.
- **What is read**: all rows read who took what in which order. `transformer` and `fused` also read what the data set
  says of its items (category, brand, price), as the product does; `sasrec` and most published rows do not.
- **Choices** (configuration, epoch, weights of the fusion) are made on validation questions, never on the test. *Tried*
  is the number of configurations, each asked at most 4,000 random validation questions.
- **After the choice** rows that count are counted again with the validation events; `sasrec`, `transformer`
  and the Transformer and weights inside `fused` are not trained on them.
- **Interval**: 95 % of 1,000 bootstrap draws of the users; ± is the deviation over the seeds where there are several.
- **Seen** and **unseen**: NDCG@10 of the questions whose step from the newest item to the answer somebody took in the
  log before the test, and of all others.
- **Coverage**: share of all items in at least one list of ten. **Popularity**: mean number of events of the items
  shown. **Novelty**: mean of -log2 p(item). **Diversity**: 1 - mean cosine of two items of a list by their users.
- **fit** is the time of one fit with the chosen configuration, without the tuning, and of counting the validation
  events; **ms** the mean of one user at a time, scores and the first ten, on one thread; **MB** the peak of the row's
  own process.
"""
COLUMNS = (
    *("model", "NDCG@10", "95 %", "HR@10", "NDCG@50", "HR@50", "MRR", "seen", "unseen"),
    *("coverage", "popularity", "novelty", "diversity", "fit s", "ms", "MB", "tried", "seeds", "published"),
)
Results = list[tuple[str, dict[str, Any]]]


def write_page(folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Make the page and its pictures anew."""
    tables: Results = []
    others: Results = []
    for path in sorted(folder.glob("*.json")):
        values = json.loads(path.read_text())
        (tables if "target_hash" in values else others).append((path.stem, values))
    published = json.loads(PUBLISHED.read_text())
    parts = [HEAD, overview(tables)]
    for stem, values in tables:
        parts.append(section(stem, values, published_for(values, published)))
        if values["rows"]:
            draw(values, page.parent / f"quality-{stem}.png")
    parts += [other_section(stem, values) for stem, values in others]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts).rstrip() + "\n")


def overview(tables: Results) -> str:
    """Return NDCG@10 of every row on every set, best in bold."""
    order = [row.name for row in ROWS]
    measured = dict.fromkeys(row["model"] for _, values in tables for row in values["rows"])
    names = sorted(measured, key=lambda name: order.index(name) if name in order else len(order))
    lines = []
    for stem, values in tables:
        score = {row["model"]: row["metrics"]["ndcg@10"]["mean"] for row in values["rows"]}
        best = max(score.values(), default=0.0)
        cells = [mark(score.get(name), best) for name in names]
        lines.append([f"[{stem}](#{stem})", *cells])
    return "## NDCG@10 at a glance\n\n" + grid(["data and protocol", *names], lines)


def mark(score: float | None, best: float) -> str:
    """Return a score, bold where it is the best of its line."""
    if score is None:
        return ""
    return f"**{score:.4f}**" if score == best else f"{score:.4f}"


def section(stem: str, values: dict[str, Any], published: list[dict[str, Any]]) -> str:
    """Return everything about one result file."""
    parts = [f"## {stem}", facts(values)]
    if values["warnings"]:
        parts.append("\n".join(warning(entry) for entry in values["warnings"]))
    if values["rows"]:
        parts.append(grid(COLUMNS, [cells(row, published) for row in values["rows"]]))
        parts.append(f"![accuracy, latency, diversity, training](quality-{stem}.png)")
    parts += [f"Not run: `{entry['model']}`: {entry['reason']}." for entry in values["not_run"]]
    if values["comparisons"]:
        parts.append(compared(values["comparisons"]))
    chosen = [choice(row) for row in values["rows"] if row["chosen"] or row["epochs"]]
    if chosen:
        parts.append("Chosen on validation:\n\n" + "\n".join(chosen))
    if published:
        parts.append(published_table(published))
    return "\n\n".join(parts) + "\n"


def facts(values: dict[str, Any]) -> str:
    """Return what was asked, of how much data, where."""
    count = values["counts"]
    sizes = f"{count['users']:,} users, {count['items']:,} items, {count['events']:,} events"
    asked = f"{count['test_questions']:,} test questions (mean history {count['mean_history']:g} events)"
    machine = values["machine"]
    device = f"{machine.get('gpu', values['device'])}, {values['threads']} threads, {machine['cpu']}"
    wishes = f"DATA={values['data']} PROTOCOL={values['protocol']} TRACK={values['track']} DEVICE={values['device']}"
    return (
        f"{values['note']}. {sizes}; {asked}. Track: {values['track']}; seen items: {values['seen_items']}. "
        f"Answers: `{values['target_hash'][:16]}`. Measured on {device}.\n\n`make bench-quality {wishes}`"
    )


def warning(entry: dict[str, Any]) -> str:
    """Return one thing that was noticed about the data."""
    first = f" (first: {entry['first']})" if entry["first"] else ""
    return f"- {entry['count']:,} {entry['what']}: {entry['then']}{first}"


def cells(row: dict[str, Any], published: list[dict[str, Any]]) -> list[str]:
    """Return one line of the table."""
    metric = {name: value["mean"] for name, value in row["metrics"].items()}
    score = row["metrics"]["ndcg@10"]
    deviation = f" ± {score['std']:.4f}" if score["std"] else ""
    apart = [f"{row[part]['ndcg@10']['mean']:.4f}" if "ndcg@10" in row[part] else "" for part in ("seen", "unseen")]
    beside = "; ".join(
        f"{entry['ndcg@10']:.4f} {entry['model']}" for entry in published if entry["row"] == row["model"]
    )
    return [
        f"`{row['model']}`",
        f"{metric['ndcg@10']:.4f}{deviation}",
        "{:.4f} to {:.4f}".format(*score["ci95"]),
        *(f"{metric[name]:.4f}" for name in ("hr@10", "ndcg@50", "hr@50", "mrr")),
        *apart,
        f"{metric['coverage@10']:.3f}",
        f"{metric['popularity@10']:.1f}",
        f"{metric['novelty@10']:.2f}",
        f"{metric['diversity@10']:.3f}",
        f"{row['fit_s'] + row['refit_s']:.1f}",
        f"{row['latency_ms']:.2f}",
        f"{row['peak_mb']:.0f}",
        str(row["configurations_tried"]),
        str(row["seeds"]),
        beside,
    ]


def compared(pairs: list[dict[str, Any]]) -> str:
    """Return what the fused list gains over every other row, on the same users."""
    lines = [
        [f"`{pair['against']}`", f"{pair['difference']:+.4f}", "{:+.4f} to {:+.4f}".format(*pair["ci95"])]
        for pair in pairs
    ]
    return "The fused list against each row, NDCG@10 on the same users:\n\n" + grid(("against", "gain", "95 %"), lines)


def choice(row: dict[str, Any]) -> str:
    """Return what was chosen for one row."""
    values = ", ".join(f"{name} {value}" for name, value in row["chosen"].items())
    epochs = (
        f"epoch {row['epochs']} of {len(row['curve'])}, {row['s_per_epoch']:.1f} s an epoch" if row["epochs"] else ""
    )
    return f"- `{row['model']}`: " + "; ".join(filter(None, (values, epochs)))


def published_for(values: dict[str, Any], published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what others report on this data under this protocol."""
    return [entry for entry in published if all(entry[key] == values[key] for key in ("data", "protocol", "track"))]


def published_table(published: list[dict[str, Any]]) -> str:
    """Return what others report, with every known difference of the protocol."""
    lines = [
        [entry["model"], f"{entry['hr@10']:.4f}", f"{entry['ndcg@10']:.4f}", entry["source"], entry["difference"]]
        for entry in published
    ]
    head = ("published", "HR@10", "NDCG@10", "source", "difference to the protocol here")
    return "What others report:\n\n" + grid(head, lines)


def other_section(stem: str, values: dict[str, Any]) -> str:
    """Return a result file of another form: its rows as they are."""
    rows = values.get("rows", [])
    names = list(
        dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict | list))
    )
    lines = [[shown(row.get(name)) for name in names] for row in rows]
    note = f"{values['note']}\n\n" if values.get("note") else ""
    return f"## {stem}\n\n{note}" + grid(names, lines) + "\n"


def shown(value: Any) -> str:
    """Return a value as a cell."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [list(head), ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    write_page()
