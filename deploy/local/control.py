"""Start, stop and supervise the embedded stack of one home.

Called by   deploy/local/main.py, the `aisle` command
up          returns when everything answers; on a stack that runs it only starts what is missing
down        stops everything in reverse order, and whatever a crash left behind
Errors      STACK_ERRORS; when `up` fails, nothing that it started is left running
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.addresses import own_token, write_addresses
from deploy.local.child import stop_survivor, tail
from deploy.local.ports import PortTakenError
from deploy.local.postgres import StoreFailedError
from deploy.local.programs import ProgramMissingError
from deploy.local.stack import Stack, environment, plan_stack, require_free_service_ports
from deploy.local.state_file import AlreadyRunningError, ChildRecord, StackRecord, StateFile
from deploy.local.supervised import ChildState
from deploy.local.supervisor import MOST_FAILED_STARTS, StackFailedError, Supervisor
from shared.service.settings import Settings

STACK_ERRORS = (StackFailedError, StoreFailedError, PortTakenError, ProgramMissingError, AlreadyRunningError)

UP_TIMEOUT_S = 180.0
DOWN_TIMEOUT_S = 120.0
SURVIVOR_TIMEOUT_S = 15.0
POLL_S = 0.1


def up(
    settings: Settings, *, stores_only: bool = False, report: Callable[[list[str]], None] = lambda missing: None
) -> None:
    """Start the stack in the background; `report` hears what is still missing until everything answers."""
    state_file = StateFile(settings.home)
    running = running_stack(state_file)
    supervisor = None
    if running is None:
        _stop_survivors(state_file)
    if not stores_only and not (running and running.with_services):
        require_free_service_ports(settings)
    if running is None:
        supervisor = _start_supervisor(settings, stores_only)
    elif not stores_only and not running.with_services:
        os.kill(running.supervisor.pid, signal.SIGUSR1)
    try:
        _wait_until_ready(state_file, supervisor, stores_only, report)
    except StackFailedError:
        if supervisor is not None:
            down(settings)
        raise


def down(settings: Settings) -> bool:
    """Stop everything; return whether anything ran."""
    state_file = StateFile(settings.home)
    record = state_file.read()
    if record is None:
        return False
    was_running = stop_survivor(record.supervisor, signal.SIGTERM, DOWN_TIMEOUT_S)
    return _stop_survivors(state_file) or was_running


def supervise(settings: Settings, *, stores_only: bool = False) -> None:
    """Be the supervisor, until a signal; one for each home."""
    state_file = StateFile(settings.home)
    with state_file.held():
        _stop_survivors(state_file)
        if not stores_only:
            require_free_service_ports(settings)
        stack = plan_stack(settings)
        write_addresses(settings.home, stack.urls | own_token(settings))
        Supervisor(
            stack.stores, stack.services, lambda: _migrate(stack), state_file, with_services=not stores_only
        ).run()


def running_stack(state_file: StateFile) -> StackRecord | None:
    """Return how the stack stands, None when its supervisor is not alive."""
    record = state_file.read()
    return record if record is not None and record.supervisor.is_alive() else None


def not_ready(record: StackRecord, *, stores_only: bool) -> list[ChildRecord]:
    """Return the children that should answer and do not."""
    return [
        child for child in record.children if child.state != ChildState.READY and (child.is_store or not stores_only)
    ]


def _migrate(stack: Stack) -> None:
    """Create our database if it is ours to create, and bring its tables up to date."""
    command = [sys.executable, "-m", "deploy.migrations", *(["--create"] if "database_url" in stack.urls else [])]
    done = subprocess.run(command, env=environment(stack.settings), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackFailedError(done.stderr.strip())


def _start_supervisor(settings: Settings, stores_only: bool) -> "subprocess.Popen[bytes]":
    log_path = _supervisor_log(settings.home)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy.local", "up", "--foreground", *(["--stores-only"] if stores_only else [])]
    with log_path.open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(settings, with_stores=False),
        )


def _wait_until_ready(
    state_file: StateFile,
    supervisor: "subprocess.Popen[bytes] | None",
    stores_only: bool,
    report: Callable[[list[str]], None],
) -> None:
    give_up_at = time.monotonic() + UP_TIMEOUT_S
    while True:
        if supervisor is not None and supervisor.poll() is not None:
            raise StackFailedError(tail(_supervisor_log(state_file.home), lines=30))
        record = running_stack(state_file)
        missing = not_ready(record, stores_only=stores_only) if record is not None else []
        if record is not None and record.tables_ready and not missing:
            return
        report([child.name for child in missing] or ["tables" if record is not None else "supervisor"])
        _give_up_on_failures(missing, too_late=time.monotonic() > give_up_at)
        time.sleep(POLL_S)


def _give_up_on_failures(missing: list[ChildRecord], *, too_late: bool) -> None:
    for child in missing:
        # A service that could not start three times will not start by trying for minutes.
        if too_late or child.failed_starts >= MOST_FAILED_STARTS:
            log = tail(Path(child.log_path))
            raise StackFailedError(f"{child.name} does not start; the end of {child.log_path}:\n{log}")
    if too_late:
        raise StackFailedError("the supervisor did not start in time")


def _stop_survivors(state_file: StateFile) -> bool:
    """Stop what a supervisor that died left behind, the last started first; return whether there was anything."""
    record = state_file.read()
    stopped = False
    for child in reversed(record.children if record is not None else ()):
        stop_signal = signal.SIGINT if child.name == "postgres" else signal.SIGTERM
        stopped |= stop_survivor(child.identity, stop_signal, SURVIVOR_TIMEOUT_S)
    return stopped


def _supervisor_log(home: Path) -> Path:
    return home / "logs" / "supervisor.log"
