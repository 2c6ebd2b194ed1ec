"""Where the time of an answer goes: means of the services' own histograms and processor time, between two moments.

Called by   benchmarks/serving/__main__.py around the personal run
In          GET /metrics of gateway, feature and ranking; the processes under the platform's supervisor
Out         Waterfall: stages in ms of wall time an answer, nested by name; processor time an answer by process
"""

import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.state_file import StateFile
from shared.service.settings import Settings

ANSWER = "answer"
RANKING_STAGES = ("encode", "filter", "retrieve", "fuse", "rerank", "reply")


@dataclass(frozen=True)
class Moment:
    """Sums since the start of each process."""

    seconds: Counter[str]
    """of each stage"""
    answers: int
    cpu_s: Counter[str]
    """user and system time of each process by name"""


@dataclass(frozen=True)
class Waterfall:
    """Means an answer, in ms."""

    stage_ms: dict[str, float]
    cpu_ms: dict[str, float]


def look(settings: Settings) -> Moment:
    """Read the figures as they stand."""
    seconds: Counter[str] = Counter()
    gateway, answers = _histograms(settings.gateway_url, "aisle_recommend_stage_seconds", "/recommend")
    feature, _ = _histograms(settings.feature_url, "", "/state")
    ranking, _ = _histograms(settings.ranking_url, "aisle_ranking_stage_seconds", "/rank")
    seconds["gateway"] = gateway[ANSWER]
    seconds["gateway / cache"] = gateway["cache"]
    seconds["gateway / feature"] = gateway["feature"]
    seconds["gateway / feature / in feature"] = feature[ANSWER]
    seconds["gateway / ranking"] = gateway["ranking"]
    seconds["gateway / ranking / in ranking"] = ranking[ANSWER]
    seconds.update({f"gateway / ranking / in ranking / {stage}": ranking[stage] for stage in RANKING_STAGES})
    seconds["gateway / serialise"] = gateway["serialise"]
    return Moment(seconds, answers, _processor_time(settings.home))


def between(before: Moment, after: Moment, client_ms: float) -> Waterfall:
    """Return the means an answer; `client_ms` is the mean that the clients saw."""
    answers = after.answers - before.answers
    stage_ms = {"client": client_ms} | {
        name: 1000 * (seconds - before.seconds[name]) / answers for name, seconds in after.seconds.items()
    }
    cpu_ms = {name: 1000 * (spent - before.cpu_s[name]) / answers for name, spent in after.cpu_s.items()}
    return Waterfall(_rounded(stage_ms), _rounded({name: ms for name, ms in cpu_ms.items() if ms >= 0.01}))


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def _histograms(url: str, stages: str, route: str) -> tuple[Counter[str], int]:
    """Return the seconds in each stage of one service and, as ANSWER, in a route; and how often that was answered."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        families = text_string_to_metric_families(reply.read().decode())
    seconds: Counter[str] = Counter()
    answers = 0
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == f"{stages}_sum":
            seconds[sample.labels["stage"]] += sample.value
        elif sample.labels.get("route") == route and sample.name == "aisle_http_request_seconds_sum":
            seconds[ANSWER] += sample.value
        elif sample.labels.get("route") == route and sample.name == "aisle_http_request_seconds_count":
            answers += int(sample.value)
    return seconds, answers


def platform_processes(home: Path) -> dict[psutil.Process, str]:
    """Return the supervisor and every process under it, with what each is called."""
    record = StateFile(home).read()
    if record is None:
        raise SystemExit(f"nothing runs on {home}: run `make demo` first")
    supervisor = psutil.Process(record.supervisor.pid)
    return {process: _name(process) for process in (supervisor, *supervisor.children(recursive=True))}


def _name(process: psutil.Process) -> str:
    return process.cmdline()[-1] if process.name().startswith("python") else process.name()


def _processor_time(home: Path) -> Counter[str]:
    spent: Counter[str] = Counter()
    for process, name in platform_processes(home).items():
        times = process.cpu_times()
        spent[name] += times.user + times.system
    return spent
