"""docs/benchmarks/ctr.md and its pictures, made from all result files: no number stands there that no JSON file has.

Called by   __main__.py after a run; `python -m benchmarks.ctr.page` alone
In          benchmarks/results/ctr/*.json
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.ctr.measure import ORACLE, SUBJECT, WISHED_AUC
from benchmarks.ctr.plots import draw
from benchmarks.ctr.result import FOLDER
from benchmarks.environment import ROOT

PAGE = ROOT / "docs" / "benchmarks" / "ctr.md"
COLUMNS = ("task", "model", "AUC", "grouped AUC", "log-loss", "NE", "ECE", "oracle share", "below 0.85", "fit CPU s")
HEAD = f"""# Clicks and purchases

The multi-task ranker against a logistic regression (one-hot), LightGBM and the same net trained for one task at a time:
`make bench-ctr [DATA=<name>]`. Made from `benchmarks/results/ctr/*.json`; nothing is typed by hand.

- **Slices** follow each other in time: train, validation (stops and chooses), calibration, test (looked at once).
- **Same for all**: columns, categories, positions, number of configurations tried, and a line in logits as
  calibration. The nets also read the live sequence, event by event; the others have the counts that are made from it.
- **Grouped AUC**: inside each shopper's candidates, weighted by their number. **NE**: log-loss over that of the mean
  rate alone. **ECE**: over 20 bins of equal mass.
- **Oracle share**: (AUC - 0.5) / (oracle AUC - 0.5), where the true chances are known: in the simulated shop only.
- **Below 0.85**: the distance to an AUC of {WISHED_AUC}, which many a shop wishes for. What AUC is possible is a
  property of the log, not of the model. Negative where the wish is exceeded.
- **Gain**: the ranker's AUC less the other's, and 95 % of paired bootstrap draws of the test candidates.
"""


def write_page(folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Make the page and its pictures anew."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    parts = [HEAD, overview(results)]
    for values in results:
        parts.append(section(values))
        draw(values, page.parent / f"ctr-{values['data']}.png")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts).rstrip() + "\n")


def overview(results: Sequence[dict[str, Any]]) -> str:
    """Return AUC of every model on every set and task, best in bold, and where the ranker is not surely ahead."""
    models = list(dict.fromkeys(row["model"] for values in results for row in values["rows"]))
    lines, behind = [], []
    for values in results:
        for task in values["tasks"]:
            auc = {row["model"]: row["auc"] for row in values["rows"] if row["task"] == task}
            best = max((score for model, score in auc.items() if model != ORACLE), default=0.0)
            cells = [mark(auc.get(model), best) for model in models]
            lines.append([f"[{values['data']}](#{values['data']})", task, *cells])
            behind += not_ahead(values, task)
    sentences = (
        "\n".join(behind) or "In every line both rivals are behind the ranker, and the interval of the gain is above 0."
    )
    return "## AUC at a glance\n\n" + grid(["data", "task", *models], lines) + f"\n\n{sentences}\n"


def not_ahead(values: dict[str, Any], task: str) -> list[str]:
    """Return a sentence for each of the two rivals that the ranker does not beat beyond doubt."""
    gains = {gain["against"]: gain for gain in values["gains"] if gain["task"] == task}
    found = []
    for rival in ("logistic", "lightgbm"):
        gain = gains.get(rival)
        where = f"`{rival}` on {values['data']}, {task}"
        if gain is None:
            found.append(f"- Not compared yet: {where}.")
        elif gain["ci95"][0] <= 0:
            loss = {row["model"]: row["log_loss"] for row in values["rows"] if row["task"] == task}
            verdict = "Behind" if gain["auc"] <= 0 else "Ahead of, but within chance,"
            found.append(
                f"- {verdict} {where}: {gain['auc']:+.4f} ({gain['ci95'][0]:+.4f} to {gain['ci95'][1]:+.4f}); "
                f"{values['slices']['test'][task]:,} positives in the test slice, "
                f"{values['slices']['train'][task]:,} in the train slice; log-loss {loss[SUBJECT]:.5f} against "
                f"{loss[rival]:.5f}."
            )
    return found + behind_single_task(values, task)


def behind_single_task(values: dict[str, Any], task: str) -> list[str]:
    """Return a sentence where a net for this task alone is ahead beyond doubt, and how much of that orders a list."""
    inside = {row["model"]: row["gauc"] or 0.0 for row in values["rows"] if row["task"] == task}
    return [
        f"- Behind `single_task` on {values['data']}, {task}: {gain['auc']:+.4f} ({gain['ci95'][0]:+.4f} to "
        f"{gain['ci95'][1]:+.4f}), but {inside[SUBJECT] - inside['single_task']:+.4f} inside each shopper's candidates "
        f"(grouped AUC); there each of the {len(values['tasks'])} tasks has a net of its own to train and serve."
        for gain in values["gains"]
        if gain["task"] == task and gain["against"] == "single_task" and gain["ci95"][1] < 0
    ]


def mark(score: float | None, best: float) -> str:
    """Return a score, bold where it is the best of its line."""
    if score is None:
        return ""
    return f"**{score:.4f}**" if score == best else f"{score:.4f}"


def section(values: dict[str, Any]) -> str:
    """Return everything about one data set."""
    slices = ", ".join(
        f"{name} {part['examples']:,} ({', '.join(f'{part[task]:,} {task}' for task in values['tasks'])})"
        for name, part in values["slices"].items()
    )
    facts = (
        f"{values['note']}. {values['numbers']} numbers, {values['categories']} categories, "
        f"{values['max_history']} events of history. {slices}."
    )
    parts = [f"## {values['data']}", facts]
    parts += [f"Not trained: {task} ({reason})." for task, reason in values["missing"].items()]
    parts.append(grid(COLUMNS, [cells(row) for row in values["rows"]]))
    parts.append(grid(("ranker against", "task", "gain in AUC", "95 %"), [compared(gain) for gain in values["gains"]]))
    parts.append(f"![predicted and observed rates](ctr-{values['data']}.png)")
    parts.append(decile_table(values))
    serving = values["serving"]
    if serving:
        parts.append(
            f"{serving['candidates']} candidates with {serving['events']} events cost {serving['cpu_ms']:.2f} ms of "
            f"CPU in ONNX Runtime on one core; the model has {serving['bytes'] / 1e6:.2f} MB."
        )
    if values.get("fidelity"):
        parts += explanations(values["fidelity"])
    parts += [
        f"Chosen, `{row['model']}`: {choice(row)}."
        for row in values["rows"]
        if row["task"] == values["tasks"][0] and row["chosen"]
    ]
    return "\n\n".join(parts) + "\n"


def cells(row: dict[str, Any]) -> list[str]:
    """Return one line of the table."""
    share, gauc = row["oracle_share"], row["gauc"]
    return [
        row["task"],
        f"`{row['model']}`",
        f"{row['auc']:.4f}",
        "" if gauc is None else f"{gauc:.4f}",
        f"{row['log_loss']:.5f}",
        f"{row['ne']:.4f}",
        f"{row['ece']:.5f}",
        "" if share is None else f"{share:.4f}",
        f"{row['below_wished_auc']:+.4f}",
        f"{row['fit_cpu_s']:.0f}",
    ]


def compared(gain: dict[str, Any]) -> list[str]:
    """Return what the ranker gains on one model."""
    return [f"`{gain['against']}`", gain["task"], f"{gain['auc']:+.4f}", "{:+.4f} to {:+.4f}".format(*gain["ci95"])]


def decile_table(values: dict[str, Any]) -> str:
    """Return predicted over observed rate by tenths of the ranker's chances."""
    rows = [row for row in values["rows"] if row["model"] == SUBJECT]
    lines = [
        [row["task"], *(f"{part['predicted']:.4f} / {part['observed']:.4f}" for part in row["deciles"])] for row in rows
    ]
    head = ["predicted / observed", *(str(place) for place in range(1, 11))]
    return "By tenths of the ranker's chances, lowest first:\n\n" + grid(head, lines)


def explanations(found: dict[str, Any]) -> list[str]:
    """Return what masking the weightiest groups does to the logit, against groups at random."""
    words = (
        f"Explanations: exact Shapley values of {len(found['groups'])} groups of features; one item costs "
        f"{found['cpu_ms_an_item']:.1f} ms of CPU. How far the logit moves when {found['masked']} groups "
        f"are masked, mean over {found['examples']} test candidates:"
    )
    head = ("task", "the weightiest", "at random", "the weightiest moved it more")
    lines = [
        [row["task"], f"{row['largest']:.3f}", f"{row['random']:.3f}", f"{row['largest_moved_more']:.0%}"]
        for row in found["rows"]
    ]
    return [words, grid(head, lines)]


def choice(row: dict[str, Any]) -> str:
    """Return what validation chose."""
    return ", ".join(f"{name} {value}" for name, value in row["chosen"].items())


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [list(head), ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    write_page()
