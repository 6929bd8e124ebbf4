"""Opening, naming and replacing media files: every failure is one clear line, no file is half-written."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from dithead.errors import MediaError, OutputError

# Muxers by the final name's suffix: the temporary file beside it carries another name.
MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}


def printable(path: Path) -> str:
    """The path as one printable line: a name with a line break must not break the message."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def require_file(path: Path) -> None:
    """Raise ``MediaError`` unless ``path`` is a readable, non-empty file."""
    name = printable(path)
    try:
        if path.is_dir():
            raise MediaError(f"{name}: is a folder; give a media file")
        if not path.exists():
            raise MediaError(f"{name}: no such file; check the path")
        if path.stat().st_size == 0:
            raise MediaError(f"{name}: the file is empty; copy or export it again")
        with path.open("rb"):
            pass
    except PermissionError:
        raise MediaError(f"{name}: no permission to read it; check the file's rights") from None
    except (OSError, ValueError) as error:
        raise MediaError(f"{name}: cannot be opened ({error})") from None


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open ``path`` for demuxing; decoding errors inside the block become ``MediaError`` too.

    Only local files are ever opened: a playlist in disguise cannot make the reader fetch anything.
    """
    require_file(path)
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=options, metadata_errors="ignore") as media:
            yield media
    except (av.FFmpegError, ValueError) as error:
        raise unreadable(path, error) from None


def create_media(path: Path, muxer: str, **options: str) -> Any:
    """Open ``path`` for muxing in the named container format, with muxer options."""
    return av.open(f"file:{path}", "w", format=muxer, container_options=options)


def unreadable(path: Path, error: Exception) -> MediaError:
    """What to say about a file that FFmpeg refuses."""
    reason = str(getattr(error, "strerror", None) or error).strip().splitlines()[0:1]
    why = f" ({reason[0]})" if reason else ""
    return MediaError(
        f"{printable(path)}: not a media file that can be read, or it is damaged or cut off{why}; "
        "copy it again or export it anew"
    )


def muxer_for(path: Path) -> str:
    """The container format that the suffix of ``path`` asks for."""
    try:
        return MUXERS[path.suffix.lower()]
    except KeyError:
        raise OutputError(f"{printable(path)}: write to a name that ends in {', '.join(MUXERS)}") from None


def require_writable(path: Path) -> None:
    """Raise ``OutputError`` unless a file can be made at ``path``; leaves nothing behind."""
    name = printable(path)
    if path.is_dir():
        raise OutputError(f"{name}: is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise OutputError(f"{name}: its folder does not exist; make the folder first")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{name}: exists and is locked against writing; choose another name")
    probe = temporary_beside(path)
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{name}: cannot be written ({error.strerror}); choose another place") from None


def temporary_beside(path: Path) -> Path:
    """A fresh hidden name in the same folder, so that the final rename is atomic."""
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}.part")


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz; the file appears whole or not at all. It is packed in memory: on a full disk numpy would complain
    a second time, out of anybody's reach."""
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name; on success it becomes ``path``, on any failure it is removed.

    Errors of the operating system (full disk, lost rights) become ``OutputError``.
    """
    require_writable(path)
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{printable(path)}: could not be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
