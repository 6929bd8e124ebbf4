"""Opens, names and replaces media files: failures are one-line errors, and no file is left half-written."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np

from dithead.errors import MediaError, OutputError
from dithead.limits import FORMATS, MAX_STREAMS, PROTOCOLS, refuse_lists

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""FFmpeg's container format by the suffix of the final name; the temporary file beside it has another suffix."""
Seal: TypeAlias = Callable[[Path, Path], None]
"""Called with a complete file under its temporary name, which it may change, and with the name that it will have."""
_READING = {
    "protocol_whitelist": PROTOCOLS,
    "format_whitelist": ",".join(FORMATS),
    "max_streams": str(MAX_STREAMS + 1),
}


def printable(path: Path | str) -> str:
    """Return the path as one printable line, so that a name with a line break does not break an error message."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def require_file(path: Path) -> None:
    """Raise MediaError unless ``path`` is a readable, non-empty file."""
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
        raise MediaError(f"{name}: cannot be opened ({error}); check the path") from None


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open a file for demuxing; decoding errors inside the block become MediaError too.

    Only this one file is ever opened: formats that name other files or addresses are off (``dithead.limits``).
    """
    require_file(path)
    refuse_lists(path, printable(path))
    try:
        with av.open(f"file:{path}", options=_READING, metadata_errors="ignore") as media:
            if len(media.streams) > MAX_STREAMS:
                raise MediaError(f"{printable(path)}: has {len(media.streams)} streams; at most {MAX_STREAMS} are read")
            yield media
    except (av.FFmpegError, ValueError) as error:
        raise unreadable(path, error) from None


def create_media(path: Path, muxer: str, **options: str) -> Any:
    """Open a file for muxing in a container format of FFmpeg, with options of the muxer."""
    return av.open(f"file:{path}", "w", format=muxer, container_options=options)


def unreadable(path: Path, error: Exception) -> MediaError:
    """Return the error for a file that FFmpeg refuses."""
    reason = str(getattr(error, "strerror", None) or error).strip().splitlines()[0:1]
    why = f" ({reason[0]})" if reason else ""
    return MediaError(
        f"{printable(path)}: not a media file that can be read, or it is damaged or cut off{why}; "
        "copy it again or export it anew"
    )


def muxer_for(path: Path) -> str:
    """Return the container format for the suffix of a name; OutputError when the suffix is unknown."""
    try:
        return MUXERS[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"{printable(path)}: write to a name that ends in {', '.join([*MUXERS][:-1])} or {[*MUXERS][-1]}"
        ) from None


def require_output(path: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError unless a file can be made at ``path``, and it is none of the ``inputs``."""
    if path.exists() and any(path.samefile(source) for source in inputs if source.exists()):
        raise OutputError(f"{printable(path)}: is also an input; give another name for the output")
    require_writable(path)


def require_writable(path: Path) -> None:
    """Raise OutputError unless a file can be made at ``path``; nothing is left behind."""
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


def cache_folder() -> Path:
    """Return the folder for what can be made again: DITHEAD_CACHE, or ``dithead`` in the user's cache folder."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("DITHEAD_CACHE") or users / "dithead")


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name in the same folder, so that the final rename is atomic."""
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}.part")


def file_fingerprint(path: Path) -> dict[str, int]:
    """Return the facts by which a file is recognised as unchanged: size and time of change. Empty: it is missing."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz file, which appears whole or not at all.

    It is packed in memory, because on a full disk numpy raises a second error that cannot be caught.
    """
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


@contextmanager
def replacing(path: Path, seal: Seal | None = None) -> Iterator[Path]:
    """Yield a temporary name, whose file becomes ``path`` on success and is removed on any failure.

    Args:
        path: The file to write.
        seal: The last step before the complete file gets its name.

    Raises:
        OutputError: The operating system refuses to write, as on a full disk.
    """
    require_writable(path)
    temporary = temporary_beside(path)
    try:
        yield temporary
        if seal is not None:
            seal(temporary, path)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{printable(path)}: could not be written ({reason}); choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)
