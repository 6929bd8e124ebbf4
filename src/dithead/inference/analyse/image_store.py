"""Pictures kept on disk, so that memory does not grow with the number of shots. h, w: a picture's size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dithead.types import RGB


class StoredImages(NamedTuple):
    """Where some pictures lie on a shelf."""

    offset: int
    lengths: tuple[int, ...]  # bytes of each picture


class ImageStore:
    """One file of pictures, one after the other, without loss; in memory when no ``path`` is given.

    ``old``: read what an earlier shelf has left there, instead of beginning anew.
    """

    def __init__(self, path: Path | None = None, *, old: bool = False) -> None:
        self.path, self._held = path, bytearray()
        if path is not None and not old:
            path.write_bytes(b"")

    def put(self, pictures: Iterable[RGB]) -> StoredImages:
        """Keep pictures (h, w, 3), each of any size."""
        coded = [cv2.imencode(".png", p, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes() for p in pictures]
        lengths = tuple(map(len, coded))
        if self.path is None:
            self._held += b"".join(coded)
            return StoredImages(len(self._held) - sum(lengths), lengths)
        with self.path.open("ab") as file:
            file.write(b"".join(coded))
            return StoredImages(file.tell() - sum(lengths), lengths)

    def get(self, images: StoredImages) -> list[RGB]:
        """The pictures of a slot."""
        data = self._read(images.offset, sum(images.lengths))
        starts = np.cumsum([0, *images.lengths])
        coded = [np.frombuffer(data[a:b], np.uint8) for a, b in pairwise(starts)]
        return [np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in coded]

    def _read(self, offset: int, length: int) -> bytes:
        if self.path is None:
            return bytes(self._held[offset : offset + length])
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
