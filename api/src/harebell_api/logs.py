"""Log lines as JSON objects, one a line, on standard output."""

import json
import logging
import sys
from datetime import UTC, datetime

AUDIT = "harebell_api.audit"


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, what ``extra={"fields": ...}`` adds, and error for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: int) -> None:
    """Send everything logged at ``level`` or above to standard output, as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Who changed what is told whatever else is not.
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    # uvicorn logs the query of every WebSocket at INFO; a client may have put a key there by mistake.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, level))
    logging.captureWarnings(True)
