"""Handles Ctrl-C and SIGTERM during training: the first stops the run after its step, the second at once."""

from __future__ import annotations

import signal
import threading
from typing import Any, Self

from dithead.train.loop.processes import process_group


class Interrupts:
    """Context manager that postpones the first interrupt to the end of a step."""

    def __init__(self) -> None:
        self._received = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM)
            self._handlers_before = {number: signal.signal(number, self._receive) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _receive(self, *_: object) -> None:
        if self._received:
            raise KeyboardInterrupt
        self._received = True

    def requested(self) -> bool:
        """Return True when any process has been asked to stop."""
        return process_group().any(self._received)
