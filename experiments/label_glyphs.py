"""Write the outlines of the characters that visible labels are drawn with, from two free fonts.

It answers no question; it makes ``src/dithead/provenance/data/label_glyphs.npz``. DejaVu Sans Bold (public domain and
Bitstream Vera licence) gives Latin, Greek and Cyrillic letters, Droid Sans Fallback (Apache-2.0) Chinese characters and
kana.

    apt install fonts-droid-fallback && pip install fonttools matplotlib      # matplotlib carries DejaVu
    python experiments/label_glyphs.py DejaVuSans-Bold.ttf DroidSansFallbackFull.ttf OUT.npz
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared import make_parser

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

UNITS = 256
"""Units of the outlines to an em: enough for letters of that many pixels."""
STEPS = (1 / 3, 2 / 3, 1.0)
"""Where a curve is cut into straight lines."""
LATIN = (
    *range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x1E00, 0x1F00), *range(0x370, 0x400), *range(0x400, 0x530),
    0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026, 0x20AC,
)  # fmt: skip
KANA = (*range(0x3001, 0x3020), *range(0x3041, 0x3100), *range(0xFF01, 0xFF5F))


def encoded_characters(codec: str, leads: Iterable[int], trails: Iterable[int]) -> Iterator[int]:
    """Yield the code points of the two-byte characters of an encoding."""
    trails = list(trails)
    for lead in leads:
        for trail in trails:
            try:
                yield ord(bytes([lead, trail]).decode(codec))
            except (UnicodeDecodeError, TypeError):
                continue


def chinese() -> set[int]:
    """Return the characters of GB 2312, the frequent ones of Big5, and those of JIS level 1."""
    simplified = encoded_characters("gb2312", range(0xB0, 0xF8), range(0xA1, 0xFF))
    traditional = encoded_characters("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)])
    japanese = encoded_characters("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF))
    return {*simplified, *traditional, *japanese, *KANA}


def contours_of(font: TTFont, glyph: str) -> list[np.ndarray]:
    """Return the closed outlines of a glyph as points in units of 1 / UNITS em, y upwards."""
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    pen = DecomposingRecordingPen(font.getGlyphSet())
    font.getGlyphSet()[glyph].draw(pen)
    contours: list[list[tuple[float, float]]] = []
    for operation, points in pen.value:
        if operation == "moveTo":
            contours.append([points[0]])
        elif operation == "lineTo":
            contours[-1].append(points[0])
        elif operation == "qCurveTo":
            if points[-1] is None:  # an outline of control points alone
                points = (*points[:-1], middle(points[-2], points[0]))
                contours.append([points[-1]])
            contours[-1].extend(flattened(contours[-1][-1], points))
    scale = UNITS / font["head"].unitsPerEm
    return [np.rint(np.array(contour) * scale).astype(np.int16) for contour in contours]


def flattened(start: tuple[float, float], points: Any) -> Iterator[tuple[float, float]]:
    """Yield points on a chain of quadratic curves: control points, then the end."""
    for k, control in enumerate(points[:-1]):
        end = points[-1] if k == len(points) - 2 else middle(control, points[k + 1])
        for t in STEPS:
            parts = ((1 - t) ** 2, 2 * t * (1 - t), t * t)
            x, y = (
                sum(p * q for p, q in zip(parts, axis, strict=True)) for axis in zip(start, control, end, strict=True)
            )
            yield x, y
        start = end


def middle(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return the point between two points."""
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def main() -> None:
    """Collect the glyphs of both fonts into one file."""
    parser = make_parser(__doc__)
    for name in ("dejavu", "droid", "output"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    from fontTools.ttLib import TTFont  # after the arguments: --help works where fontTools is not installed

    wanted = [(TTFont(given.dejavu), sorted(LATIN)), (TTFont(given.droid), sorted(chinese()))]
    codes, advances, counts, lengths, points = [], [], [], [], []
    for font, characters in wanted:
        names = font.getBestCmap()
        for code in characters:
            if code not in names or code in codes[-1:]:
                continue
            contours = contours_of(font, names[code])
            codes.append(code)
            advances.append(round(font["hmtx"][names[code]][0] * UNITS / font["head"].unitsPerEm))
            counts.append(len(contours))
            lengths += [len(contour) for contour in contours]
            points += [np.diff(contour, axis=0, prepend=0) for contour in contours]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        given.output, codes=np.array(codes, np.int32), advances=np.array(advances, np.int16),
        counts=np.array(counts, np.uint8), lengths=np.array(lengths, np.uint16),
        points=np.concatenate(points).T.astype(np.int16),
    )  # fmt: skip
    print(f"{given.output}: {len(codes)} characters, {given.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
