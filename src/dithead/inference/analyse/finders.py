"""The networks of a first pass, loaded before it begins."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from dithead.errors import DitheadError
from dithead.face.landmarks import FaceLandmarker
from dithead.inference.analyse.occlusion import OcclusionDetector


class Finders:
    """The networks of a first pass; a context manager."""

    def __init__(self) -> None:
        self.faces, self.occluders = FaceLandmarker(), OcclusionDetector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faces.close()
        self.occluders.__exit__(kind, error, trace)

    def load(self) -> None:
        """Load them before they are used, as far as they can be: whoever uses them hears what is wrong."""
        with contextlib.suppress(DitheadError):
            self.faces.load()
            self.occluders.load()
