"""Finds files that were cut off, by what their containers say about their own length in bytes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_ISO_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp", b"sidx", b"uuid", b"pnot")
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_MOST_BOXES = 1_000_000  # of a fragmented film of a day; a file that claims more is not followed further


def is_cut_off(path: Path) -> bool:
    """Return whether a film ends before its container's own sizes say: MP4 and MOV, Matroska and WebM, AVI.

    A file of another kind, or one that names no size, as live recordings do, is never said to be cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _ISO_FIRST:
            return _iso_end(file, size) > size
        if head[:4] == _EBML:
            return _matroska_end(file) > size
        if head[:4] == b"RIFF":
            return _riff_end(file, size) > size
    return False


def _iso_end(file: BinaryIO, size: int) -> int:
    """Where the last box of the file ends."""
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return place if not head.strip(b"\0") else place + 8
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8 or not kind.isascii():  # 0: up to the end of the file; anything else is not a box
            return size
        place += length
        if place >= size:
            return place
    return size


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment ends, or 0 where it does not say."""
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """Read a size of Matroska; None where it is unknown or no size."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more)) & ((1 << 7 * (more + 1)) - 1)
    return None if value == (1 << 7 * (more + 1)) - 1 else value


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF part ends; long AVI files have several. Zero sizes are those of a live recording."""
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return place
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):
            return size
        place += 8 + length + length % 2
    return size
