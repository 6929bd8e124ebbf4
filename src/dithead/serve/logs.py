"""Writes the log as one JSON object a line. What it may hold is listed here, so that nothing private slips in."""

from __future__ import annotations

import json
import logging
import sys
import time

FIELDS = (
    "job", "worker", "workers", "attempt", "state", "reason", "method", "route", "status", "milliseconds", "bytes",
    "count", "address",
)  # fmt: skip
"""What a line may say besides its message: ids and numbers. Names of files, texts, keys and addresses of clients are
not among them."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))}
        line |= {"level": record.levelname.lower(), "message": record.getMessage()}
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = self._where(record)
        return json.dumps(line, ensure_ascii=False, default=str)

    @staticmethod
    def _where(record: logging.LogRecord) -> str:
        """The kind of a fault and the places that it passed; its text may quote what a user sent, so it stays out."""
        assert record.exc_info
        kind, _, trace = record.exc_info
        places = []
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_name}:{trace.tb_lineno}")
            trace = trace.tb_next
        return f"{kind.__name__ if kind else '?'} at {' > '.join(places[-8:])}"


def log_as_json(level: int = logging.INFO) -> None:
    """Send the log of this process to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dithead").setLevel(level)
    for name in ("dbos", "uvicorn", "uvicorn.error"):
        other = logging.getLogger(name)
        other.handlers[:], other.propagate = [], True
        other.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
