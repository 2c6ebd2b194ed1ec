"""Pass catalogue and user calls on to the feature service, and its answers back, problem documents included.

Called by   services/gateway/routes.py
Errors      ProblemError 503 with Retry-After when feature cannot be reached; an erasure is then not done, and says so
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import quote

from services.gateway.dependency import Dependency, DependencyError
from services.gateway.ports import Sender
from shared.resilience.deadline import Deadline
from shared.service.http_client import Reply, ServiceCallError, StreamedReply
from shared.service.problems import unavailable

TIMEOUT_MS = 30_000.0


@dataclass
class FeatureProxy:
    """The calls that are feature's own business."""

    http: Sender
    dependency: Dependency

    async def forward(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Send a call on and return the answer, whatever its status below 500."""
        try:
            return await self.dependency.call(
                lambda allowed_ms: self.http.send(method, path, body, allowed_ms), Deadline.after(TIMEOUT_MS)
            )
        except DependencyError:
            raise unavailable("the feature service does not answer") from None

    async def stream(self, path: str, stack: AsyncExitStack) -> StreamedReply:
        """Begin a call with a long answer; `stack` ends it."""
        try:
            return await stack.enter_async_context(self.http.stream("GET", path, TIMEOUT_MS))
        except ServiceCallError:
            raise unavailable("the feature service does not answer") from None


async def closing(chunks: AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yield the chunks of a long answer and end the call behind it."""
    async with stack:
        async for chunk in chunks:
            yield chunk


def path_of(collection: str, identifier: str, rest: str = "") -> str:
    """Return feature's path of one item or user; an identifier may hold any printable character, a slash too."""
    return f"/{collection}/{quote(identifier, safe='')}{rest}"
