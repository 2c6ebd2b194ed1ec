"""Progress bars for long commands: what is done, how fast, and how long it will still take.

Called by   services/command/import_command.py and other commands with long steps
In          reports of services.training.progress: one bar for each step, in the order in which steps begin
"""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from services.training.progress import Progress


class ProgressBars:
    """Draws reports while its `with` block runs; without a terminal each finished step becomes one line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._finished: set[str] = set()
        self._bars = Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def report(self, progress: Progress) -> None:
        """Draw one report."""
        if progress.step not in self._tasks:
            self._tasks[progress.step] = self._bars.add_task(progress.step, total=progress.total, pace="")
        self._bars.update(
            self._tasks[progress.step], completed=progress.done, total=progress.total, pace=pace(progress)
        )
        if progress.done >= progress.total and progress.step not in self._finished:
            self._finished.add(progress.step)
            if not self._console.is_terminal:
                self._console.print(f"{progress.step}: {progress.total:,.0f} {progress.unit} {progress.note}".rstrip())


def pace(progress: Progress) -> str:
    """Return rate and time left as text, nothing while they are not known."""
    if progress.rate_per_s <= 0:
        return ""
    rate = f"{progress.rate_per_s:,.0f}" if progress.rate_per_s >= 10 else f"{progress.rate_per_s:.1f}"
    left = "" if progress.eta_s is None or progress.done >= progress.total else f", {progress.eta_s:.0f} s left"
    return f"{rate} {progress.unit}/s{left}{', ' + progress.note if progress.note else ''}"
