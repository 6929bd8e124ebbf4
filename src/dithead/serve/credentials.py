"""Says in plain sentences what a finished file tells about its own making."""

from __future__ import annotations

from pathlib import Path

from dithead.media.files import open_media


def statements(video: Path) -> list[str]:
    """Return the sentences that a file's metadata hold, as any other program reads them.

    Args:
        video: A finished video.

    Raises:
        MediaError: It cannot be read.
    """
    with open_media(video) as media:
        comment = {name.lower(): text for name, text in media.metadata.items()}.get("comment", "")
    return [part.strip() for part in comment.split(";") if part.strip()]
