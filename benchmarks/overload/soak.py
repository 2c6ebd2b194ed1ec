"""Half the knee for a long time: no request fails, and no process holds more at the end than at the beginning.

Called by   benchmarks/overload/__main__.py
In          the shop, a rate, for how long, and its processes
Out         Soak: what the clients got, and memory and descriptors of each process after the first piece and the last
Pieces      of PIECE_S: the generator's garbage is collected between them; the first fills caches and is not compared
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from benchmarks.overload.surge import Target

PIECE_S = 30.0
MOST_GROWTH_MB = 16.0
"""of one process: an allocator gives memory back in arenas, and a histogram gets a series with its first label"""
MOST_NEW_DESCRIPTORS = 16

Processes = Mapping[psutil.Process, str]


@dataclass(frozen=True)
class Held:
    """What one process holds."""

    memory_mb: float
    descriptors: int


@dataclass(frozen=True)
class Soak:
    """What a shop did with an easy load."""

    rate: float
    seconds: float
    answers: dict[str, int]
    before: dict[str, Held]
    after: dict[str, Held]

    @property
    def faults(self) -> list[str]:
        """Return what was not as promised, in words."""
        said = [f"{number} answers: {kind}" for kind, number in self.answers.items() if kind != "good"]
        for name, begun in self.before.items():
            now = self.after.get(name)
            if now is None:
                said.append(f"{name} ended")
            elif now.memory_mb - begun.memory_mb > MOST_GROWTH_MB:
                said.append(f"{name} grew from {begun.memory_mb} to {now.memory_mb} MB")
            elif now.descriptors - begun.descriptors > MOST_NEW_DESCRIPTORS:
                said.append(f"{name} had {begun.descriptors} descriptors and has {now.descriptors}")
        return said


async def soak(target: Target, rate: float, seconds: float, processes: Processes) -> Soak:
    """Ask for so long, after one piece that is not counted."""
    await target.ask(rate, PIECE_S)
    before = held(processes)
    answers: Counter[str] = Counter()
    for _ in range(max(1, round(seconds / PIECE_S))):
        seen = await target.ask(rate, PIECE_S)
        answers += seen.errors + seen.degraded + Counter(good=target.good(seen), late=_late(target, seen.good_ms))
    return Soak(rate, seconds, dict(answers), before, held(processes))


def held(processes: Processes) -> dict[str, Held]:
    """Return what each process that lives holds, by name; those of one name together."""
    found: dict[str, Held] = {}
    for process, name in processes.items():
        if process.is_running():
            so_far = found.get(name, Held(0.0, 0))
            memory_mb = round(so_far.memory_mb + process.memory_info().rss / 1e6, 1)
            found[name] = Held(memory_mb, so_far.descriptors + process.num_fds())
    return found


def _late(target: Target, good_ms: list[float]) -> int:
    return sum(latency_ms > target.deadline_ms for latency_ms in good_ms)
