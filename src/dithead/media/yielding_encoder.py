"""Opens an encoder whose own threads take only the processor time that the threads which feed it leave.

x264 computes on threads of its own, in bursts. With equal rights they take turns with the thread that composes the
frames, which everything waits for, and then both cores stand idle together.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_NICER = 8  # steps of priority, see setpriority(2), below that of the caller's thread (docs/log)


def open_yielding(context: Any) -> None:
    """Open an encoder of PyAV.

    Its threads inherit the priority of the thread that opens it, and a thread may lower its own but not raise it again,
    so a thread made for this opens it. Only Linux has priorities of threads.
    """
    with ThreadPoolExecutor(1, "dithead-encoder", _yield_to_others) as worker:
        worker.submit(context.open).result()


def _yield_to_others() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICER))
