"""Computes items on a thread of their own while the caller works on earlier ones, so that stages overlap.

Decoding, the networks, OpenCV and the encoder compute outside Python's lock, so two such stages keep two cores busy.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds after which a waiting thread looks whether it is still wanted
_PATIENCE = 5.0  # an ended iteration waits so long for its thread, which ends after the item it is computing

_HASTE = 0.1  # the same in seconds after Ctrl-C: whoever presses it waits


class _End:
    """What follows the last item: the exception that ended the iteration, or None."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], depth: int, name: str, patience: float = _PATIENCE) -> Generator[T, None, None]:
    """Yield the items of an iterable in order, computed on a thread of their own.

    What the iteration raises is raised here, after the items before it. When this generator is closed, the thread ends
    after the item that it is computing, and the iterable is closed; after Ctrl-C hardly anybody waits for that.

    Args:
        items: Iterated only on the new thread.
        depth: Items that may wait, at most, which bounds the memory.
        name: Of the thread.
        patience: Seconds for which closing waits for the thread.
    """
    with closing(groups_ahead(items, depth, name, 1, patience)) as groups:
        for (item,) in groups:
            yield item


def groups_ahead(
    items: Iterable[T], depth: int, name: str, most: int, patience: float = _PATIENCE
) -> Generator[list[T], None, None]:
    """Do as ``ahead``, but yield together what waits already: at least one item, and at most ``most``."""
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    unwanted = threading.Event()
    thread = threading.Thread(target=_compute, args=(items, waiting, unwanted), name=f"dithead-{name}", daemon=True)
    thread.start()
    try:
        end: _End | None = None
        while end is None:
            group, end = _taken(waiting, most)
            if group:
                yield group
        if end.error is not None:
            raise end.error
    finally:
        unwanted.set()
        if thread is not threading.current_thread():  # what is left over after an error is collected on any thread
            thread.join(min(patience, _HASTE) if _is_interrupted(sys.exc_info()[1]) else patience)


def _is_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C or a signal to end has closed the iteration."""
    while error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        error = error.__context__
    return error is not None


def _taken(waiting: queue.Queue[T | _End], most: int) -> tuple[list[T], _End | None]:
    """What waits, after waiting for the first, and the end if it has come."""
    group: list[T] = []
    while len(group) < most:
        try:
            item = waiting.get(block=not group)
        except queue.Empty:
            break
        if isinstance(item, _End):
            return group, item
        group.append(item)
    return group, None


def _compute(items: Iterable[T], waiting: queue.Queue[T | _End], unwanted: threading.Event) -> None:
    error: BaseException | None = None
    iterator: Iterator[T] = iter(items)
    try:
        for item in iterator:
            if not _handed_over(item, waiting, unwanted):
                break
    except BaseException as raised:  # noqa: BLE001 - the caller's thread raises it
        error = raised
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
    _handed_over(_End(error), waiting, unwanted)


def _handed_over(item: T | _End, waiting: queue.Queue[T | _End], unwanted: threading.Event) -> bool:
    """Whether the item was put; False where nobody wants it any more."""
    while not unwanted.is_set():
        try:
            waiting.put(item, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False
