"""Stores pictures losslessly in one file, so that memory does not grow with the shots. h, w: a picture's size."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dithead.types import RGB

_ENCODERS = 2  # threads that compress pictures (our choice)
_PLAIN = 64 << 20
"""Bytes of a store from which pictures are compressed (our choice). A picture of 420 pixels takes 16 ms to write as PNG
and 8 to read, without compression 0.1 each, but the shots of a film should not fill the disk."""


class StoredImages(NamedTuple):
    """Where some pictures lie in an ``ImageStore``."""

    offset: int
    lengths: tuple[int, ...]  # bytes of each picture


class ImageStore:
    """One file of BMP and PNG pictures, one after the other; in memory when no ``path`` is given."""

    def __init__(self, path: Path | None = None, *, existing: bool = False) -> None:
        """Begin an empty store.

        Args:
            path: The store's file; None keeps the pictures in memory.
            existing: Read what an earlier store left at ``path`` instead of beginning anew.
        """
        self.path, self._memory, self._size = path, bytearray(), 0
        if path is not None and not existing:
            path.write_bytes(b"")

    def put(self, pictures: Iterable[RGB]) -> StoredImages:
        """Append pictures (h, w, 3), each of any size, and return where they lie."""
        suffix = ".bmp" if self._size < _PLAIN else ".png"
        with ThreadPoolExecutor(_ENCODERS, "dithead-images") as workers:
            coded = list(workers.map(lambda picture: _coded(picture, suffix), pictures))
        lengths = tuple(map(len, coded))
        self._size += sum(lengths)
        if self.path is None:
            self._memory += b"".join(coded)
            return StoredImages(len(self._memory) - sum(lengths), lengths)
        with self.path.open("ab") as file:
            file.write(b"".join(coded))
            return StoredImages(file.tell() - sum(lengths), lengths)

    def get(self, images: StoredImages) -> list[RGB]:
        """Read pictures (h, w, 3) back."""
        data = self._read(images.offset, sum(images.lengths))
        starts = np.cumsum([0, *images.lengths])
        coded = [np.frombuffer(data[a:b], np.uint8) for a, b in pairwise(starts)]
        return [np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in coded]

    def _read(self, offset: int, length: int) -> bytes:
        if self.path is None:
            return bytes(self._memory[offset : offset + length])
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _coded(picture: RGB, suffix: str) -> bytes:
    how = [cv2.IMWRITE_PNG_COMPRESSION, 1] if suffix == ".png" else []
    return cv2.imencode(suffix, picture, how)[1].tobytes()
