"""make bench-overload: three times what the running platform can answer, then half of it for long.

In          a platform started by `make demo` or `aisle up`, with a trained model and nothing else to do
Out         benchmarks/results/overload.json and a line for each promise; exit code 1 when one of them was not kept
Promises    goodput of at least LEAST_SHARE of the capacity; LEAST_IN_TIME of those who get no live list hear so within
            SHED_MS; normal again within NORMAL_S; no error and nothing that grows in the soak
"""

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.environment import ROOT, environment
from benchmarks.overload.soak import Soak, soak
from benchmarks.overload.surge import LEAST_IN_TIME, LEAST_SHARE, NORMAL_S, SHED_MS, SURGE, Surge, Target, surge
from benchmarks.serving.__main__ import NUM_USERS, known_users, personal_body, warm_up
from benchmarks.serving.waterfall import platform_processes
from shared.service.settings import Settings

RESULT = ROOT / "benchmarks" / "results" / "overload.json"


def verdicts(found: Surge, soaked: Soak) -> Iterator[tuple[bool, str]]:
    """Yield each promise: whether it was kept, and what was measured."""
    rates = f"{found.goodput_per_s} of {found.capacity_per_s} good answers a second at {SURGE} x {found.knee:.0f}/s"
    yield found.share >= LEAST_SHARE, f"goodput: {rates}, {found.share:.0%}; {found.answers}"
    shed = f"{found.shed_in_time} of {found.shed} within {SHED_MS:.0f} ms"
    times = f"p50 {found.shed_p50_ms} ms, p99 {found.shed_p99_ms} ms"
    yield found.shed_share >= LEAST_IN_TIME, f"shedding: {shed} as a bystander sees it, {times}"
    yield found.normal_after_s < NORMAL_S, f"normal again after {found.normal_after_s} s"
    words = "; ".join(soaked.faults) or "no error, nothing grew"
    yield not soaked.faults, f"soak: {soaked.seconds:.0f} s at {soaked.rate:.0f}/s, {words}"


def main() -> None:
    """Measure, write the result file, and fail when a promise was not kept."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--surge-s", type=float, default=120.0, help="seconds of the surge, and of its capacity")
    arguments.add_argument("--soak-s", type=float, default=3600.0, help="seconds of the soak")
    options = arguments.parse_args()
    settings = Settings.load()
    users = random.Random(0).sample(known_users(settings.home), NUM_USERS)
    warm_up(settings, users)
    target = Target(f"{settings.gateway_url}/recommend", personal_body(users, seed=6), {}, settings.deadline_ms)
    found = asyncio.run(surge(target, options.surge_s))
    soaked = asyncio.run(soak(target, found.knee / 2, options.soak_s, platform_processes(settings.home)))
    kept = list(verdicts(found, soaked))
    surged = asdict(found) | {"share": round(found.share, 3), "seconds": options.surge_s}
    result = {"surge": surged, "soak": asdict(soaked), "environment": environment()}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for is_kept, words in kept:
        print(f"{'held' if is_kept else 'BROKEN'}  {words}")
    sys.exit(0 if all(is_kept for is_kept, _ in kept) else 1)


if __name__ == "__main__":
    main()
