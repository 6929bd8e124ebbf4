"""Phoneme times that others have made: Praat TextGrids, CTM files and JSON, in IPA or ARPAbet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.synth.types import Phoneme

SUFFIXES = (".TextGrid", ".textgrid", ".ctm", ".json")
TIERS = ("phones", "phonemes", "phone", "phoneme", "segments", "mau")  # as aligners call the tier of sounds
_PAUSES = {"", "sil", "sp", "spn", "pau", "h#", "<eps>", "<p:>", "_", "#", "silence"}
_ARPABET = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "eh": "ɛ", "er": "ɜ", "ey": "eɪ",
    "ih": "ɪ", "ix": "ɨ", "iy": "i", "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u", "b": "b", "ch": "tʃ", "d": "d",
    "dh": "ð", "dx": "ɾ", "f": "f", "g": "ɡ", "hh": "h", "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n",
    "ng": "ŋ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "v": "v", "w": "w", "y": "j",
    "z": "z", "zh": "ʒ",
}  # fmt: skip
_INTERVAL = re.compile(r"xmin\s*=\s*([\d.]+)\s*xmax\s*=\s*([\d.]+)\s*text\s*=\s*\"((?:[^\"]|\"\")*)\"")
_TIER = re.compile(r'name\s*=\s*"([^"]*)"')


def timings_beside(recording: Path) -> Path | None:
    """The file of phoneme times with the recording's name, if there is one."""
    found = (recording.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def read_timings(path: Path) -> tuple[Phoneme, ...]:
    """Phonemes with times in seconds; raises DataError for a file that holds none.

    TextGrid: the long text form, its tier of sounds.  CTM: ``file channel start duration symbol`` a line.
    JSON: a list of ``[symbol, start, end]``, or an object that holds one as ``phonemes``.
    """
    try:
        text = path.read_text("utf-8-sig") if path.suffix.lower() != ".textgrid" else _decoded(path)
        rows = {".json": _json, ".ctm": _ctm}.get(path.suffix.lower(), _textgrid)(text)
        sounds = [Phoneme(s, a, b) for s, a, b in _spelt(rows) if b > a >= 0]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: phoneme times cannot be read ({error})") from None
    if not any(p.ipa for p in sounds):
        raise DataError(f"{path}: no phoneme with a time in it; see docs/synth.md for what is read")
    return tuple(sorted(sounds, key=lambda p: p.start))


def _decoded(path: Path) -> str:
    """Praat writes UTF-8 or UTF-16."""
    raw = path.read_bytes()
    return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _json(text: str) -> list[tuple[str, float, float]]:
    found: Any = json.loads(text)
    rows = found["phonemes"] if isinstance(found, dict) else found
    return [(str(symbol), float(start), float(end)) for symbol, start, end in rows]


def _ctm(text: str) -> list[tuple[str, float, float]]:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(";;")]
    return [(line[4], float(line[2]), float(line[2]) + float(line[3])) for line in lines]


def _textgrid(text: str) -> list[tuple[str, float, float]]:
    parts = _TIER.split(text)  # before, name, body, name, body, ...
    tiers = {name.lower().split(" - ")[-1]: body for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    named = next((tiers[name] for name in TIERS if name in tiers), None)
    if named is None:
        raise ValueError(f"no tier called {', '.join(TIERS)}; it has {', '.join(tiers) or 'none'}")
    return [(label.replace('""', '"'), float(a), float(b)) for a, b, label in _INTERVAL.findall(named)]


def _spelt(rows: Iterable[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Symbols as IPA; pauses as ''. All rows are ARPAbet or none is."""
    kept = [(symbol.strip(), start, end) for symbol, start, end in rows]
    names = {_bare(symbol) for symbol, _, _ in kept} - _PAUSES
    arpabet = bool(names) and names <= set(_ARPABET) and any(len(name) == 2 for name in names)
    spelling = dict.fromkeys(_PAUSES, "") | (_ARPABET if arpabet else {})
    return [(spelling.get(_bare(symbol), symbol), start, end) for symbol, start, end in kept]


def _bare(symbol: str) -> str:
    return symbol.strip().lower().rstrip("012")
