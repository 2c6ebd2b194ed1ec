"""One process that starts the stores and the services, keeps them running, and stops them in reverse order.

Called by   deploy/local/main.py
Start       stores side by side → migrations → services side by side; a child counts as ready when it answers
Restart     a child that ends, or no longer answers, is started again after a wait that doubles from FIRST_WAIT_S to
            LONGEST_WAIT_S and falls back after STEADY_S of good health
Stop        SIGTERM or SIGINT: the last started first (gateway, other services, stores), each given time
            to finish what it does
Crash       should this process die, the kernel ends the children (child.py); the next start looks for survivors
Errors      StackFailedError when a store cannot be started at all, or the migrations fail
"""

import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from deploy.local.child import tail
from deploy.local.state_file import StackRecord, StateFile, own_identity
from deploy.local.supervised import ChildPlan, ChildState, SupervisedChild

TICK_S = 0.1
MOST_FAILED_STARTS = 3


class StackFailedError(RuntimeError):
    """The stack cannot start; the message says which part and shows the end of its log."""


class Supervisor:
    """Stores first, then services; `run` returns after a signal."""

    def __init__(
        self,
        stores: Sequence[ChildPlan],
        services: Sequence[ChildPlan],
        migrate: Callable[[], None],
        state_file: StateFile,
        *,
        with_services: bool = True,
    ) -> None:
        self._stores = [SupervisedChild(plan) for plan in stores]
        self._services = [SupervisedChild(plan) for plan in services]
        self._migrate = migrate
        self._state_file = state_file
        self._with_services = with_services
        self._tables_ready = False
        self._stopping = False
        self._written: StackRecord | None = None

    @property
    def _children(self) -> list[SupervisedChild]:
        return [*self._stores, *self._services]

    def run(self) -> None:
        """Supervise until a signal asks to stop."""
        signal.signal(signal.SIGTERM, self._stop_soon)
        signal.signal(signal.SIGINT, self._stop_soon)
        signal.signal(signal.SIGUSR1, self._want_services)
        try:
            self._start_stores()
            while not self._stopping:
                if self._with_services and self._services and self._services[0].state is ChildState.STOPPED:
                    for child in self._services:
                        child.start()
                self._tick()
        except StackFailedError as error:
            self._write(error=str(error))
            raise
        finally:
            self._stop()

    def _start_stores(self) -> None:
        for child in self._stores:
            child.start()
        while not self._stopping and any(child.state is not ChildState.READY for child in self._stores):
            self._tick()
            for child in self._stores:
                if child.failed_starts >= MOST_FAILED_STARTS:
                    raise StackFailedError(f"{child.plan.name} does not start; its log says\n{tail(child.log_path)}")
        if not self._stopping:
            self._migrate()
            self._tables_ready = True

    def _tick(self) -> None:
        for child in self._children:
            child.tick()
        self._write()
        time.sleep(TICK_S)

    def _stop(self) -> None:
        """End the last service first, since it is the one that calls the others; then those, then the stores."""
        for together in (self._services[-1:], self._services[:-1][::-1], self._stores[::-1]):
            for child in together:
                child.ask_to_stop()
            for child in together:
                child.stop()
                self._write(error=self._written.error if self._written else None)

    def _write(self, error: str | None = None) -> None:
        """Tell the world how things stand, when that changed."""
        now = StackRecord(
            supervisor=own_identity(),
            with_services=self._with_services,
            tables_ready=self._tables_ready,
            error=error,
            children=tuple(child.record() for child in self._children),
        )
        if now != self._written:
            self._state_file.write(now)
            self._written = now

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _want_services(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._with_services = True
