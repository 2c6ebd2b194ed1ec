"""A TCP proxy that makes a network bad on command: slow, trickling, reset, mute, closed, or deaf to the replies.

Called by   tests/faults/stack.py, one between the services and each of their peers
In          the ports behind it; with several, connections go in turn to those that `healthy` accepts
Faults      latency, bandwidth, timeout, reset_peer, down: toxiproxy's words for them (Shopify/toxiproxy, README);
            lose_replies: requests arrive, answers do not, then the connection breaks
            each holds for open connections and new ones, until `clear`
Threads     the loop is a thread's; every method may be called from any other
"""

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LOOPBACK = "127.0.0.1"
CHUNK = 64 * 1024
TRICKLE_BYTES = 1


class Fault(StrEnum):
    """What happens to a connection."""

    NONE = "none"
    TIMEOUT = "timeout"
    RESET_PEER = "reset_peer"
    DOWN = "down"
    LOSE_REPLIES = "lose_replies"


@dataclass(frozen=True)
class Weather:
    """How the network is now."""

    fault: Fault = Fault.NONE
    latency_s: float = 0.0
    """before each chunk from behind"""
    bytes_per_s: float = 0.0
    """of the replies; 0: as fast as it goes"""


FAIR = Weather()


class Network:
    """The thread in which all proxies of one stack live."""

    def __init__(self) -> None:
        self._proxies: list[TcpProxy] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run in the loop's thread and return the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def proxy(self, port: int, *behind: int) -> "TcpProxy":
        """Return an open proxy."""
        proxy = TcpProxy(self, port, list(behind))
        self.run(proxy.listen())
        self._proxies.append(proxy)
        return proxy

    def close(self) -> None:
        """End the thread; connections break."""
        for proxy in self._proxies:
            self.run(proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class TcpProxy:
    """One port before others."""

    def __init__(self, network: Network, port: int, behind: list[int]) -> None:
        self.port = port
        self.behind = behind
        self.healthy: Callable[[int], bool] = lambda _port: True
        self._turns = itertools.count()
        self._network = network
        self._weather = FAIR
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def latency(self, latency_s: float) -> None:
        """Let every reply come later."""
        self._set(Weather(latency_s=latency_s))

    def bandwidth(self, bytes_per_s: float) -> None:
        """Let replies trickle."""
        self._set(Weather(bytes_per_s=bytes_per_s))

    def timeout(self) -> None:
        """Accept connections and say nothing: half-open."""
        self._set(Weather(Fault.TIMEOUT))

    def reset_peer(self) -> None:
        """Accept connections and reset them at once."""
        self._set(Weather(Fault.RESET_PEER))

    def lose_replies(self) -> None:
        """Deliver what is asked and reset the connection instead of the reply."""
        self._set(Weather(Fault.LOSE_REPLIES))

    def down(self) -> None:
        """Refuse connections."""
        self._set(Weather(Fault.DOWN))

    def clear(self) -> None:
        """Be a good network again."""
        self._set(FAIR)

    def _set(self, weather: Weather) -> None:
        self._network.run(self._change(weather))

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, reuse_address=True)

    async def close(self) -> None:
        """Close the port and what is open, and see that it is."""
        await self._change(Weather(Fault.DOWN))
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _change(self, weather: Weather) -> None:
        if weather.fault is Fault.DOWN and self._server is not None:
            self._server.close()
            self._server = None
        elif weather.fault is not Fault.DOWN and self._server is None:
            await self.listen()
        # A connection that was mute has lost what it did not pass on: nobody may take it for a whole one.
        broken = weather.fault in (Fault.DOWN, Fault.RESET_PEER) or self._weather.fault is Fault.TIMEOUT
        self._weather = weather
        for connection in list(self._open):
            if broken:
                connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        connection = _Connection(lambda: self._weather, reader, writer)
        self._open.add(connection)
        try:
            if self._weather.fault is Fault.RESET_PEER:
                connection.reset()
            else:
                await connection.join(self._next())
        except OSError:
            connection.reset()
        finally:
            self._open.discard(connection)

    def _next(self) -> int:
        able = [port for port in self.behind if len(self.behind) == 1 or self.healthy(port)] or self.behind
        return able[next(self._turns) % len(able)]


class _Connection:
    """A client's connection and the one behind it."""

    def __init__(
        self, weather: Callable[[], Weather], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._weather = weather
        self._client = (reader, writer)
        self._writers = [writer]

    async def join(self, port: int) -> None:
        """Pass everything on, until both sides are done."""
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        self._writers.append(writer)
        asked = asyncio.create_task(self._pass_on(self._client[0], writer, is_reply=False))
        answered = asyncio.create_task(self._pass_on(reader, self._client[1], is_reply=True))
        await asyncio.wait((asked, answered), return_when=asyncio.ALL_COMPLETED)
        for one in self._writers:
            one.close()

    def reset(self) -> None:
        """Break both sides with a RST."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with suppress(OSError):
                    # Linger of zero seconds: the kernel answers with RST instead of FIN.
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            writer.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_reply: bool) -> None:
        try:
            while chunk := await source.read(CHUNK):
                weather = self._weather()
                if weather.fault is Fault.TIMEOUT:
                    continue
                if is_reply and weather.fault is Fault.LOSE_REPLIES:
                    self.reset()
                    return
                await self._write(target, chunk, weather if is_reply else FAIR)
            if target.can_write_eof():
                target.write_eof()
        except OSError:
            self.reset()

    async def _write(self, target: asyncio.StreamWriter, chunk: bytes, weather: Weather) -> None:
        if weather.latency_s:
            await asyncio.sleep(weather.latency_s)
        step = TRICKLE_BYTES if weather.bytes_per_s else len(chunk)
        for start in range(0, len(chunk), step):
            target.write(chunk[start : start + step])
            await target.drain()
            if weather.bytes_per_s:
                await asyncio.sleep(step / weather.bytes_per_s)
