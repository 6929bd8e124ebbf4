"""Read phoneme times that other tools wrote: Praat TextGrids, CTM files and JSON, in IPA or ARPAbet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.limits import MAX_TEXT, parse_json, read_text
from dithead.synth.voice.utterance import Phoneme

_SUFFIXES = (".TextGrid", ".textgrid", ".ctm", ".json")  # the first that exists is read
_TIERS = ("phones", "phonemes", "phone", "phoneme", "segments", "mau")  # names that aligners give the tier of phonemes
_PAUSES = {"", "sil", "sp", "spn", "pau", "h#", "<eps>", "<p:>", "_", "#", "silence"}
_ARPABET = {  # symbol, in lower case and without stress, -> IPA
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "eh": "ɛ", "er": "ɜ", "ey": "eɪ",
    "ih": "ɪ", "ix": "ɨ", "iy": "i", "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u", "b": "b", "ch": "tʃ", "d": "d",
    "dh": "ð", "dx": "ɾ", "f": "f", "g": "ɡ", "hh": "h", "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n",
    "ng": "ŋ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ", "v": "v", "w": "w", "y": "j",
    "z": "z", "zh": "ʒ",
}  # fmt: skip
_INTERVAL = re.compile(r"xmin\s*=\s*([\d.]+)\s*xmax\s*=\s*([\d.]+)\s*text\s*=\s*\"((?:[^\"]|\"\")*)\"")
_TIER_NAME = re.compile(r'name\s*=\s*"([^"]*)"')

_Row = tuple[str, float, float]  # symbol, start and end in seconds


def find_timings(recording: Path) -> Path | None:
    """Return the file of phoneme times that lies beside a recording under the same name, if there is one."""
    candidates = (recording.with_suffix(suffix) for suffix in _SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_timings(path: Path) -> tuple[Phoneme, ...]:
    """Read phonemes and their times.

    Args:
        path: One of three formats. TextGrid: the long text form, of which the tier of phonemes is read. CTM: lines of
            ``file channel start duration symbol``. JSON: a list of ``[symbol, start, end]``, or an object that holds
            such a list as ``phonemes``.

    Returns:
        Phonemes in the order of their start, in IPA, with times in seconds.

    Raises:
        DataError: The file cannot be read, or it holds no phoneme with a time.
    """
    try:
        is_grid = path.suffix.lower() == ".textgrid"
        text = _decode_textgrid(path) if is_grid else read_text(path, str(path), DataError)
        rows = {".json": _parse_json, ".ctm": _parse_ctm}.get(path.suffix.lower(), _parse_textgrid)(text)
        phonemes = [Phoneme(symbol, start, end) for symbol, start, end in _to_ipa(rows) if end > start >= 0]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: phoneme times cannot be read ({error})") from None
    if not any(p.ipa for p in phonemes):
        raise DataError(f"{path}: no phoneme with a time in it; see docs/howto/synth.md for what is read")
    return tuple(sorted(phonemes, key=lambda p: p.start))


def _decode_textgrid(path: Path) -> str:
    """Praat writes UTF-8 or UTF-16."""
    with path.open("rb") as file:
        raw = file.read(MAX_TEXT + 1)
    if len(raw) > MAX_TEXT:
        raise ValueError(f"it is larger than {MAX_TEXT >> 20} MiB")
    return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _parse_json(text: str) -> list[_Row]:
    stored: Any = parse_json(text)
    rows = stored["phonemes"] if isinstance(stored, dict) else stored
    return [(str(symbol), float(start), float(end)) for symbol, start, end in rows]


def _parse_ctm(text: str) -> list[_Row]:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(";;")]
    return [(line[4], float(line[2]), float(line[2]) + float(line[3])) for line in lines]


def _parse_textgrid(text: str) -> list[_Row]:
    parts = _TIER_NAME.split(text)  # what is before the first tier, then name and body of each tier in turn
    tiers = {name.lower().split(" - ")[-1]: body for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    body = next((tiers[name] for name in _TIERS if name in tiers), None)
    if body is None:
        raise ValueError(f"no tier called {', '.join(_TIERS)}; it has {', '.join(tiers) or 'none'}")
    return [(label.replace('""', '"'), float(a), float(b)) for a, b, label in _INTERVAL.findall(body)]


def _to_ipa(rows: Iterable[_Row]) -> list[_Row]:
    """Spell the symbols in IPA, pauses as ''. Either all rows are ARPAbet or none is."""
    stripped = [(symbol.strip(), start, end) for symbol, start, end in rows]
    names = {_without_stress(symbol) for symbol, _, _ in stripped} - _PAUSES
    is_arpabet = bool(names) and names <= set(_ARPABET) and any(len(name) == 2 for name in names)
    spelling = dict.fromkeys(_PAUSES, "") | (_ARPABET if is_arpabet else {})
    return [(spelling.get(_without_stress(symbol), symbol), start, end) for symbol, start, end in stripped]


def _without_stress(symbol: str) -> str:
    return symbol.strip().lower().rstrip("012")
