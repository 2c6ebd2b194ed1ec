"""Logs as one JSON object a line on stdout, every line with its service and request id.

Called by   shared/service/app.py at the start of a service; elsewhere `structlog.get_logger()`
Rules       event names are snake_case constants, values are fields; no request bodies, keys or passwords
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.service.request_context import current_request


class _StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stdout is now, so that a captured stream may be closed."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # a property instead of the attribute, as logging's own last resort
        """Return stdout."""
        return sys.stdout


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers (uvicorn, aiohttp) to stdout as JSON."""

    def add_origin(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        if request_id := current_request().request_id:
            event.setdefault("request_id", request_id)
        return event

    shared: list[Processor] = [
        add_origin,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    handler = _StdoutHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not isinstance(kept, _StdoutHandler)] + [handler]
    root.setLevel(level)
