"""Makes what no encoder at hand writes: display matrices, edit lists and HEIC pictures, byte by byte (ISO 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

UPRIGHT = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""Numbers of Exif -> the display matrix (a, b, c, d): a stored pixel (x, y) is displayed at (a x + c y, b x + d y)."""


def stored(picture: np.ndarray, orientation: int) -> np.ndarray:
    """The picture (H, W, 3) as a camera stores it that says ``orientation``, by the definition of the matrix."""
    a, b, c, d = UPRIGHT[orientation]
    height, width = picture.shape[:2]
    shape = (height, width) if a else (width, height)
    y, x = np.mgrid[: shape[0], : shape[1]]
    column, row = a * x + c * y, b * x + d * y
    return np.ascontiguousarray(picture[row - row.min(), column - column.min()])


def set_display_matrix(path: Path, orientation: int) -> None:
    """Write a display matrix into the first track of an MP4 or MOV file."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    at = header + 4 + (32 if data[header] else 20) + 16
    a, b, c, d = UPRIGHT[orientation]
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def shorten_edit_list(path: Path, share: float) -> None:
    """Show only a share of the picture, as trimming on a phone does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4 + 8
    data[at : at + 4] = struct.pack(">I", round(struct.unpack(">I", data[at : at + 4])[0] * share))
    path.write_bytes(data)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _hevc_still(picture: np.ndarray, folder: Path) -> tuple[bytes, bytes]:
    """The decoder configuration and the data of one picture in HEVC, taken out of an MP4 file."""
    path = folder / "tile.mp4"
    with av.open(str(path), "w") as media:
        stream = media.add_stream("libx265", rate=Fraction(25), options={"x265-params": "crf=4:log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        stream.codec_context.color_range, stream.codec_context.colorspace = 2, 5
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(
            format="yuv420p", dst_colorspace=5, dst_color_range=2
        )
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            packet.dts = packet.pts
            media.mux(packet)
    with av.open(str(path)) as media:
        stream = media.streams.video[0]
        packet = next(p for p in media.demux(stream) if p.size)
        return bytes(stream.codec_context.extradata), bytes(packet)


def write_heic(path: Path, picture: np.ndarray, orientation: int = 1, tile: int = 64) -> None:
    """Write a HEIC picture of square tiles, as iPhones do.

    Args:
        path: The file.
        picture: (H, W, 3) as displayed; its stored sides must be multiples of ``tile``.
        orientation: Number of Exif.
        tile: Side of a tile.
    """
    raw = stored(picture, orientation)
    height, width = raw.shape[:2]
    rows, columns = height // tile, width // tile
    tiles = [
        _hevc_still(raw[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile], path.parent)
        for r in range(rows)
        for c in range(columns)
    ]
    grid = struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, width, height)
    numbers = range(1, len(tiles) + 1)
    main = len(tiles) + 1
    properties = [
        box(b"hvcC", tiles[0][0]),
        full_box(b"ispe", 0, 0, struct.pack(">2I", tile, tile)),
        full_box(b"ispe", 0, 0, struct.pack(">2I", width, height)),
        box(b"colr", b"nclx", struct.pack(">3HB", 1, 13, 5, 0x80)),
        *_turns(orientation),
    ]
    turned = range(5, len(properties) + 1)
    associations = [(number, (0x81, 2, 4)) for number in numbers] + [(main, (3, 4, *(0x80 | k for k in turned)))]
    ipma = b"".join(struct.pack(">HB", n, len(p)) + bytes(p) for n, p in associations)
    items = [full_box(b"infe", 2, 0, struct.pack(">2H4s", n, 0, b"hvc1"), b"\0") for n in numbers]
    items.append(full_box(b"infe", 2, 0, struct.pack(">2H4s", main, 0, b"grid"), b"\0"))
    head = [
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict"), b"\0"),
        full_box(b"pitm", 0, 0, struct.pack(">H", main)),
    ]
    tail = [
        full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), *items),
        full_box(b"iref", 0, 0, box(b"dimg", struct.pack(f">2H{len(tiles)}H", main, len(tiles), *numbers))),
        box(
            b"iprp",
            box(b"ipco", *properties),
            full_box(b"ipma", 0, 0, struct.pack(">I", len(associations)), ipma),
        ),
        box(b"idat", grid),
    ]
    start = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    data = [packet for _, packet in tiles]
    length = len(start) + len(full_box(b"meta", 0, 0, *head, _locations(data, 0, main, len(grid)), *tail)) + 8
    meta = full_box(b"meta", 0, 0, *head, _locations(data, length, main, len(grid)), *tail)
    path.write_bytes(start + meta + box(b"mdat", *data))


def _turns(orientation: int) -> Sequence[bytes]:
    """The properties that undo an orientation, in the order in which they are applied: turn, then mirror."""
    quarters, mirror = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    found = [box(b"irot", bytes([quarters]))] if quarters else []
    return [*found, box(b"imir", bytes([1]))] if mirror else found


def _locations(data: Sequence[bytes], place: int, main: int, grid: int) -> bytes:
    """Where each item's bytes are: tiles in the file, the grid in the box ``idat``."""
    rows = []
    for number, packet in enumerate(data, 1):
        rows.append(struct.pack(">4H2I", number, 0, 0, 1, place, len(packet)))
        place += len(packet)
    rows.append(struct.pack(">4H2I", main, 1, 0, 1, 0, grid))
    return full_box(b"iloc", 1, 0, struct.pack(">2BH", 0x44, 0, len(rows)), *rows)
