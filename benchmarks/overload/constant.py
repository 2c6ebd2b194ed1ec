"""An HTTP server that answers every request with the same list, for next to nothing.

Called by   benchmarks/overload/surge.py, as a process: python -m benchmarks.overload.constant <port>
Why         the load generator shares the machine with what it measures; what it sends beyond the capacity of the shop
            goes here while that capacity is measured, so that its own cost is the same in both runs
"""

import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"recommendations": [], "served_from": "live", "degraded_reason": "none"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
LENGTH = b"content-length: "


class Constant(asyncio.Protocol):
    """One connection: reads whole requests, answers each."""

    def __init__(self) -> None:
        self._read = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        # uvloop's own class, which is none of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete now."""
        self._read += data
        assert self._transport is not None
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            begin = head.find(LENGTH) + len(LENGTH)
            whole = end + 4 + int(head[begin : head.find(b"\r", begin) if b"\r" in head[begin:] else None])
            if len(self._read) < whole:
                return
            self._read = self._read[whole:]
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    """Answer for ever."""
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
