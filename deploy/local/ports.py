"""TCP ports of the embedded stack: find a free one, or say which is taken before anything starts.

Called by   deploy/local/{postgres,valkey,supervisor,main}.py, tests/conftest.py
Errors      PortTakenError names every taken port, whose it is to be and the setting that moves it
"""

import random
import socket
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
# Below the kernel's ephemeral range (32768 up), so that no outgoing connection can sit on a port we chose.
FREE_PORT_RANGE = range(20_000, 32_000)


class PortTakenError(RuntimeError):
    """One or more ports are in use by another program."""

    def __init__(self, taken: Mapping[str, int], setting_of: Mapping[str, str]) -> None:
        lines = [
            f"port {port} for {name} is taken by another program; stop it or set {setting_of[name]}"
            for name, port in taken.items()
        ]
        super().__init__("\n".join(lines))


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set SO_REUSEADDR too: connections of an earlier run in TIME_WAIT do not block a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port nobody listens on; chosen at random so that two test runs side by side do not meet."""
    for _ in range(200):
        port = random.choice(FREE_PORT_RANGE)
        if is_free(port):
            return port
    raise RuntimeError(f"no free port found in {FREE_PORT_RANGE}")


def require_free(ports: Mapping[str, int], setting_of: Mapping[str, str], host: str = LOOPBACK) -> None:
    """Raise PortTakenError unless every named port is free."""
    taken = {name: port for name, port in ports.items() if not is_free(port, host)}
    if taken:
        raise PortTakenError(taken, setting_of)
