"""Draws the text of a visible label from outlines that come with the package, in many languages and at any size.

Letters: h, w pixels of a drawing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError

Coverage: TypeAlias = NDArray[np.float32]  # (h, w), 0 to 1

WORDINGS = {
    "en": "AI-generated", "zh": "AI生成", "ja": "AI生成", "de": "KI-generiert", "fr": "Généré par IA",
    "es": "Generado por IA", "it": "Generato con IA", "pt": "Gerado por IA", "nl": "AI-gegenereerd",
    "pl": "Wygenerowane przez AI", "cs": "Vytvořeno AI", "sv": "AI-genererad", "da": "AI-genereret",
    "fi": "Tekoälyn luoma", "el": "Δημιουργήθηκε με ΤΝ", "ru": "Создано ИИ", "uk": "Створено ШІ",
    "tr": "Yapay zekâ ile üretildi", "vi": "Tạo bởi AI",
}  # fmt: skip
"""What a label says in each language. The Chinese wording follows GB 45438-2025 ("AI" with 生成)."""
_GLYPHS = Path(__file__).parent / "data" / "label_glyphs.npz"
_UNITS = 256  # of the outlines to an em
_LINE, _ASCENT = 1.3, 0.95  # ems from one line to the next, and from the top of a line to its base line (our choice)
_FINER = 4  # times as fine as the pixels, for smooth edges
_LONGEST = 120  # characters


@dataclass(frozen=True)
class _Glyph:
    advance: float  # units
    contours: tuple[NDArray[np.int16], ...]  # (n, 2) units, y upwards


def label_wording(given: str) -> str:
    """Return what a label says: the wording of a language code, or the text itself.

    Raises:
        ConfigError: The text is empty, too long, or has a character that cannot be drawn.
    """
    if re.fullmatch("[a-z]{2}", given.strip()) and given.strip() not in WORDINGS:
        raise ConfigError(
            f"no label in the language {given.strip()!r}; there are {', '.join(WORDINGS)}, or your own text"
        )
    text = " ".join(WORDINGS.get(given.strip().lower(), given).split())
    if not text or len(text) > _LONGEST:
        raise ConfigError(f"a label has 1 to {_LONGEST} characters, not {len(text)}")
    if missing := [c for c in text if c != " " and ord(c) not in _glyphs()]:
        languages = ", ".join(WORDINGS)
        raise ConfigError(
            f"the label cannot be written: there is no letter {missing[0]!r}; "
            f"Latin, Greek, Cyrillic, Chinese and kana can be, and these languages by their code: {languages}"
        )
    return text


def draw_text(text: str, size: float, width: int) -> Coverage:
    """Draw text, in as many lines as it needs.

    Args:
        text: What ``label_wording`` returned.
        size: Pixels to an em.
        width: Pixels that a line may take; a word that is wider becomes smaller.

    Returns:
        (h, w) how much of each pixel is ink.
    """
    widest = max(_length(word) for word in _words(text))
    size = min(size, width * _UNITS / max(widest, 1))
    lines = _lines(text, width * _UNITS / size)
    scale = size / _UNITS * _FINER
    height = int(np.ceil(size * _LINE * len(lines))) * _FINER
    across = int(np.ceil(max(_length(line) for line in lines) * size / _UNITS)) * _FINER
    winding = np.zeros((height, max(across, _FINER)), np.int16)
    for number, line in enumerate(lines):
        base = (number * _LINE + _ASCENT + (_LINE - 1.2) / 2) * _UNITS
        _draw_line(winding, line, base, scale)
    ink = (winding != 0).astype(np.float32)
    drawn = cv2.resize(ink, (ink.shape[1] // _FINER, ink.shape[0] // _FINER), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.float32)


def _draw_line(winding: NDArray[np.int16], line: str, base: float, scale: float) -> None:
    """Add the winding numbers of a line's outlines, so that overlapping strokes stay ink."""
    x = 0.0
    for character in line:
        glyph = _glyph(character)
        for contour in glyph.contours:
            points = np.rint(np.stack([x + contour[:, 0], base - contour[:, 1]], axis=1) * scale * 16).astype(np.int32)
            (x0, y0), (x1, y1) = contour.T.astype(np.float64), np.roll(contour, -1, axis=0).T.astype(np.float64)
            area = float(np.sum(x0 * y1 - x1 * y0))
            filled = np.zeros(winding.shape, np.uint8)
            cv2.fillPoly(filled, [points], 1, shift=4)
            winding += filled.astype(np.int16) * (1 if area > 0 else -1)
        x += glyph.advance


def _words(text: str) -> list[str]:
    """The parts between which a line may end: words, and Chinese characters."""
    parts: list[str] = []
    for word in text.split(" "):
        start = 0
        for k, character in enumerate(word):
            if ord(character) >= 0x2E80 and k > start:
                parts.append(word[start:k])
                start = k
        parts.append(word[start:] + " ")
    return parts


def _lines(text: str, width: float) -> list[str]:
    """Lines of at most ``width`` units, broken between words."""
    lines = [""]
    for word in _words(text):
        if lines[-1] and _length((lines[-1] + word).rstrip()) > width + 1e-6:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def _length(text: str) -> float:
    return sum(_glyph(character).advance for character in text)


def _glyph(character: str) -> _Glyph:
    return _Glyph(0.35 * _UNITS, ()) if character == " " else _glyphs()[ord(character)]


@cache
def _glyphs() -> dict[int, _Glyph]:
    with np.load(_GLYPHS, allow_pickle=False) as data:
        codes, advances, counts, lengths = (data[name] for name in ("codes", "advances", "counts", "lengths"))
        points = data["points"].T
    contours = [np.cumsum(part, axis=0, dtype=np.int16) for part in np.split(points, np.cumsum(lengths)[:-1])]
    ends = np.cumsum(counts.astype(int))
    return {
        int(code): _Glyph(float(advance), tuple(contours[end - count : end]))
        for code, advance, count, end in zip(codes, advances, counts.astype(int), ends, strict=True)
    }
