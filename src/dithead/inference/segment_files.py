"""The segments of an output, as a job's work folder holds them: encoded packets, and what was drawn in each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from dithead.inference.result import Drawings
from dithead.media.encoder import PictureEncoding
from dithead.media.planes import Planes
from dithead.media.segments import write_segment


@dataclass(frozen=True)
class SegmentFiles:
    """The files of the segments in a folder."""

    folder: Path

    def segment(self, number: int) -> Path:
        """Return the file of one segment's packets, which need not exist yet."""
        return self.folder / f"{number:06d}.segment"

    def finished(self) -> int:
        """Return how many segments there are without a gap."""
        return next(number for number in count() if not self.segment(number).exists())

    def segments(self) -> list[Path]:
        """List the finished segments in order."""
        return sorted(self.folder.glob("*.segment"))

    def save_drawings(self, number: int, frames: int, drawings: Drawings) -> None:
        """Write how many frames one segment has, and what was drawn in them."""
        path = self.folder / f"{number:06d}.json"
        path.write_text(json.dumps({"frames": frames, "drawings": asdict(drawings)}), "utf-8")

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what ``save_drawings`` wrote of each segment that is complete."""
        for segment in self.segments():
            yield json.loads(segment.with_suffix(".json").read_text("utf-8"))


def write_segments(
    frames: Iterator[tuple[Planes, int]], files: SegmentFiles, first: int, length: int, encoding: PictureEncoding
) -> None:
    """Encode frames into segments.

    Args:
        frames: Planes and time stamps, see ``write_segment``.
        files: Where they go.
        first: Number of the first segment.
        length: Frames of each; the last one may have fewer.
        encoding: How they are encoded.
    """
    for number in count(first):
        if (frame := next(frames, None)) is None:
            return
        write_segment(files.segment(number), chain([frame], islice(frames, length - 1)), encoding)
