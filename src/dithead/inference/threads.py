"""How many threads the libraries may use: one each, so that they do not fight and their number changes no byte.

With as many threads as cores, torch waits for its own threads in a loop: twice the processor time on two busy cores
(docs/results/cost.md). And it divides sums among them, so that results depend on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2

T = TypeVar("T")


class _OpenCVThreads:
    """The number of OpenCV's threads outside all blocks that ask for one."""

    def __init__(self) -> None:
        self.lock, self.blocks, self.before = threading.Lock(), 0, 1


_opencv = _OpenCVThreads()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let OpenCV and torch compute on one thread while the block runs; torch is imported for that."""
    with one_torch_thread(), one_opencv_thread():
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute on one thread while the block runs; it is imported for that."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def each_on_one_thread(items: Iterable[T]) -> Iterator[T]:
    """Yield items, each of which is computed as in ``one_thread_each``; the caller's own settings hold in between."""
    iterator, end = iter(items), object()
    while True:
        with one_thread_each():
            item = next(iterator, end)
        if item is end:
            return
        yield item  # type: ignore[misc]  # mypy does not see that it is no end


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV compute on one thread while the block runs.

    That setting is the whole process's, so it comes back when the last block ends, whichever thread that is on.
    """
    with _opencv.lock:
        if not _opencv.blocks:
            _opencv.before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _opencv.blocks += 1
    try:
        yield
    finally:
        with _opencv.lock:
            _opencv.blocks -= 1
            if not _opencv.blocks:
                cv2.setNumThreads(_opencv.before)
