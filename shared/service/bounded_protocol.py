"""uvicorn's HTTP protocol with two bounds it lacks: how long a client may take to send a request's head, and how large
everything around a body may grow.

Called by   shared/service/server.py
Why         httptools keeps header lines for as long as they come, and uvicorn waits for them without end: a client that
            sends one byte a minute, or headers for ever, would hold a connection or the memory. Bodies have their own
            bounds (bodies.py)
Errors      431 above MAX_OVERHEAD_BYTES, then the connection is closed; closed in silence after HEAD_TIMEOUT_S
Cost        one comparison for each chunk that arrives; a timer only while a head is incomplete
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 10.0
MAX_OVERHEAD_BYTES = 64 * 1024
"""of a message that comes in several chunks: head, chunk sizes and trailers; the first chunk is not counted"""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    _head_timer: TimerHandle | None = None
    _in_message = False
    _in_head = False
    _is_first_chunk = False
    _overhead_bytes = 0
    _body_bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; refuse it when it is too much of what is no body."""
        body_before = self._body_bytes
        self._is_first_chunk = False
        super().data_received(data)
        if self._in_message and not self._is_first_chunk:
            self._overhead_bytes += len(data) - (self._body_bytes - body_before)
            if self._overhead_bytes > MAX_OVERHEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE if self._in_head else b"")
                self.transport.close()
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def on_message_begin(self) -> None:
        """Count anew."""
        super().on_message_begin()
        self._in_message = self._in_head = self._is_first_chunk = True
        self._overhead_bytes = self._body_bytes = 0

    def on_headers_complete(self) -> None:
        """Answer: the head is here."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what routes bound themselves."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop counting."""
        self._in_message = False
        super().on_message_complete()

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
