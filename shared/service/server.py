"""Run one service with uvicorn, and stop it without losing a request.

Called by   services/*/main.py when run as `python -m services.<name>.main`
Stop        SIGTERM → not ready → drain_s still accepting → no new connections → in-flight requests end (≤ 10 s)
            → lifespan closes clients → exit code 0; a second signal skips the wait
"""

import asyncio
import gc
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from shared.service.app import Drain
from shared.service.bounded_protocol import BoundedHttpProtocol
from shared.service.settings import ServiceName, Settings

KEEP_ALIVE_S = 75
FINISH_S = 10
YOUNG_OBJECTS = 20_000
"""after so many new objects the garbage collector looks for cycles: with Python's 700, several times in every answer"""
SWITCH_S = 0.0005
"""how long a thread keeps the interpreter from the event loop: with Python's 5 ms a loop that a thread competes with (a
state read from Postgres, the lists) waits for it at every step, and answers of 15 ms took 100"""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that turns not ready some time before it stops accepting."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_s: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_s = drain_s
        self._stops: asyncio.TimerHandle | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen; what is in memory now is there to stay, so the garbage collector need not walk it again."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; uvicorn's own version would also raise the signal again at the end."""
        del sig, frame
        # A signal runs between two steps of the loop, so the timer is set from inside the loop.
        if self._drain.begun or self._drain_s == 0:
            self.should_exit = True
        else:
            asyncio.get_running_loop().call_soon_threadsafe(self._stop_later)
        self._drain.begin()

    def _stop_later(self) -> None:
        self._stops = asyncio.get_running_loop().call_later(self._drain_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve(app: FastAPI, settings: Settings, service: ServiceName) -> None:
    """Answer requests until a signal arrives."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port_of(service),
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
    )
    sys.setswitchinterval(SWITCH_S)
    DrainingServer(config, app.state.drain, settings.drain_s).run(_sockets(settings, service))


def _sockets(settings: Settings, service: ServiceName) -> list[socket.socket] | None:
    """Return the gateway's two ports, where it has an inner one; None: the one of the configuration."""
    if service != "gateway" or settings.admin_port is None:
        return None
    return [_listening(settings.host, port) for port in (settings.port_of("gateway"), settings.admin_port)]


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        print(f"port {port} cannot be used: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
