"""Says in plain sentences what a finished file tells about its own making."""

from __future__ import annotations

from pathlib import Path


def statements(video: Path, watermark: bool) -> list[str]:
    """Return what ``dithead verify`` says of a file, one sentence each.

    Args:
        video: A finished video.
        watermark: Search the picture for the invisible watermark, too, for which all of it is decoded.

    Raises:
        MediaError: It cannot be read.
    """
    from dithead.provenance.verify import verify
    from dithead.provenance.verify_text import sentences

    headline, *rest = (line.strip() for line in sentences(verify(video, watermark=watermark)))
    return [headline.removeprefix(f"{video}: "), *rest]
