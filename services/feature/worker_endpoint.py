"""A port for the worker's own figures and health: /metrics and /livez, from the standard library.

Called by   ingest.py
In          the registry, and a function that says whether the loops turn
Errors      OSError when the port is taken; the worker goes on without, since events matter more than figures
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


class WorkerEndpoint:
    """Answers in a daemon thread until closed."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, alive: Callable[[], bool]) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif self.path == "/livez" and alive():
                    self._send(200, "application/json", b'{"status":"alive"}')
                else:
                    self._send(503 if self.path == "/livez" else 404, "application/json", b'{"status":"no"}')

            def _send(self, status: int, media_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: probes come every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Answer)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="figures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
