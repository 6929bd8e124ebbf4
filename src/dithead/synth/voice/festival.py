"""Speech from Festival's and Flite's voices: recordings of real speakers, cut into diphones or modelled, free to use.

espeak-ng sounds like a machine in every voice. These voices do not, and their phoneme times are exact as well:
Festival reports the segments of the utterance it made, Flite prints them.
https://www.cstr.ed.ac.uk/projects/festival/  http://www.festvox.org/flite/
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dithead.errors import DataError, DitheadError
from dithead.synth.types import Phoneme, Speech

SILENCES = {"#", "pau", "_", "H#", "h#", "ssil", "sil", "##"}

_ENGLISH = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "ch": "tʃ", "dh": "ð",
    "dx": "ɾ", "eh": "ɛ", "el": "əl", "em": "m", "en": "n", "er": "ɜ", "ey": "eɪ", "hh": "h", "hv": "h", "ih": "ɪ",
    "iy": "i", "jh": "dʒ", "ng": "ŋ", "nx": "n", "ow": "oʊ", "oy": "ɔɪ", "r": "ɹ", "sh": "ʃ", "th": "θ", "uh": "ʊ",
    "uw": "u", "y": "j", "zh": "ʒ",
}  # fmt: skip
_ROMANCE = {"E": "ɛ", "O": "ɔ", "ax": "ə", "S": "ʃ", "Z": "ʒ", "L": "ʎ", "J": "ɲ", "tS": "tʃ", "dZ": "dʒ", "ts": "ts",
            "dz": "dz", "rr": "r", "uax": "wə"}  # fmt: skip
_CZECH = {"ch": "x", "c": "ts", "c~": "tʃ", "s~": "ʃ", "z~": "ʒ", "r~": "ʒ", "d~": "d", "t~": "t", "n~": "n",
          "dz": "dz", "dz~": "dʒ", "e": "ɛ", "i": "ɪ"}  # fmt: skip
_FINNISH = {"A": "æ", "O": "ø", "S": "ʃ", "N": "ŋ"}
_INDIC = {
    "a": "ə", "aa": "a", "ae": "ɛ", "ay": "ɛ", "au": "ɔ", "ee": "e", "eh": "ə", "ey": "e", "ih": "ɪ", "ii": "i",
    "iy": "i", "oh": "o", "oo": "o", "ow": "ɔ", "uh": "ʊ", "uu": "u", "uw": "u", "th": "t", "thh": "t", "dh": "d",
    "dhh": "d", "tt": "t", "dd": "d", "nn": "n", "ll": "l", "ch": "tʃ", "chh": "tʃ", "jh": "dʒ", "jhh": "dʒ",
    "sh": "ʃ", "shh": "ʃ", "ph": "p", "bh": "b", "kh": "k", "gh": "ɡ", "y": "j", "ng": "ŋ", "hh": "h", "oy": "o",
    "rr": "r", "nj": "ɲ", "nx": "n",
}  # fmt: skip
_RUSSIAN = {"a": "ə", "ay": "ə", "ae": "ɪ", "aa": "a", "i": "ɪ", "ii": "i", "y": "ɨ", "yy": "ɨ", "ur": "ʊ", "u": "ʊ",
            "uu": "u", "oo": "o", "ee": "e", "e": "ɪ", "h": "x", "hh": "x", "ch": "tʃ", "sh": "ʃ", "sch": "ɕ",
            "zh": "ʒ", "c": "ts", "j": "j"}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A voice: the engine's name of it, an espeak-ng language code, how its phones are spelled in IPA."""

    engine: str
    voice: str
    language: str
    spelling: dict[str, str]


READERS: tuple[Reader, ...] = (
    Reader("flite", "slt", "en", _ENGLISH),
    Reader("flite", "rms", "en", _ENGLISH),
    Reader("flite", "awb", "en", _ENGLISH),
    Reader("festival", "kal_diphone", "en", _ENGLISH),
    Reader("festival", "ked_diphone", "en", _ENGLISH),
    Reader("festival", "cmu_us_slt_arctic_hts", "en", _ENGLISH),
    Reader("festival", "lp_diphone", "it", _ROMANCE),
    Reader("festival", "pc_diphone", "it", _ROMANCE),
    Reader("festival", "upc_ca_ona_hts", "ca", _ROMANCE),
    Reader("festival", "czech_dita", "cs", _CZECH),
    Reader("festival", "czech_krb", "cs", _CZECH),
    Reader("festival", "czech_machac", "cs", _CZECH),
    Reader("festival", "czech_ph", "cs", _CZECH),
    Reader("festival", "hy_fi_mv_diphone", "fi", _FINNISH),
    Reader("festival", "suo_fi_lj_diphone", "fi", _FINNISH),
    Reader("festival", "hindi_NSK_diphone", "hi", _INDIC),
    Reader("festival", "marathi_NSK_diphone", "hi", _INDIC),
    Reader("festival", "telugu_NSK_diphone", "te", _INDIC),
    Reader("festival", "msu_ru_nsh_clunits", "ru", _RUSSIAN),
)


def installed_readers() -> list[Reader]:
    """The readers whose engine and voice this machine has."""
    festival = [line.strip() for line in _festival("(print (voice.list))").split("(")[-1].rstrip(")\n ").split()]
    flite = _run(["flite", "-lv"]).split() if shutil.which("flite") else []
    return [r for r in READERS if r.voice in (festival if r.engine == "festival" else flite)]


def read_aloud(texts: Sequence[str], reader: Reader, stretch: float = 1.0) -> list[Speech]:
    """Speak each text; ``stretch`` above 1 is slower. Raises DitheadError when the engine fails."""
    with tempfile.TemporaryDirectory() as folder:
        say = _say_festival if reader.engine == "festival" else _say_flite
        marks = say(texts, reader, stretch, Path(folder))
        return [
            _speech(Path(folder) / f"{i}.wav", mark, reader, text)
            for i, (mark, text) in enumerate(zip(marks, texts, strict=True))
        ]


def ipa_of(phone: str, reader: Reader) -> str:
    """A phone's IPA: the reader's own spelling, else its first letter as it stands; '' for silence."""
    if phone in SILENCES:
        return ""
    name = re.sub(r"[0-9:']+$", "", phone)
    if name in reader.spelling:
        return reader.spelling[name]
    half = name[: len(name) // 2]
    if half and half * 2 == name:  # Russian writes a soft consonant twice
        return reader.spelling.get(half, half)
    return name[:1]


def _say_flite(texts: Sequence[str], reader: Reader, stretch: float, folder: Path) -> list[list[tuple[str, float]]]:
    marks = []
    for i, text in enumerate(texts):
        command = ["flite", "-voice", reader.voice, "--setf", f"duration_stretch={stretch:.3f}", "-psdur",
                   "-t", text, "-o", str(folder / f"{i}.wav")]  # fmt: skip
        pairs = [part.rsplit(":", 1) for part in _run(command).split()]
        marks.append([(name, float(end)) for name, end in pairs])
    return marks


def _say_festival(texts: Sequence[str], reader: Reader, stretch: float, folder: Path) -> list[list[tuple[str, float]]]:
    lines = [f"(voice_{reader.voice})", f"(Parameter.set 'Duration_Stretch {stretch:.3f})"]
    for i, text in enumerate(texts):
        quoted = text.replace("\\", " ").replace('"', " ")
        lines += [
            f'(set! utt (SynthText "{quoted}"))',
            f'(utt.save.wave utt "{folder / f"{i}.wav"}" \'riff)',
            '(mapcar (lambda (s) (format t "@%s %f\\n" (item.name s) (item.feat s "end")))'
            " (utt.relation.items utt 'Segment))",
            '(format t "@@\\n")',
        ]
    marks: list[list[tuple[str, float]]] = [[]]
    for line in _festival("\n".join(lines)).splitlines():
        at = line.find("@")
        if line[at : at + 2] == "@@":
            marks.append([])
        elif at >= 0:
            name, end = line[at + 1 :].split()[:2]
            marks[-1].append((name, float(end)))
    if len(marks) != len(texts) + 1:
        raise DitheadError(f"festival's voice {reader.voice} made {len(marks) - 1} of {len(texts)} utterances")
    return marks[:-1]


def _festival(script: str) -> str:
    if not shutil.which("festival"):
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".scm", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        return _run(["festival", "-b", file.name])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 an argument list, no shell
    if done.returncode != 0:
        raise DitheadError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-300:].strip()}")
    return done.stdout.decode(errors="replace")


def _speech(path: Path, marks: list[tuple[str, float]], reader: Reader, text: str) -> Speech:
    import wave

    if not marks or not path.is_file():
        raise DataError(f"{reader.engine}'s voice {reader.voice} made no sound of {text!r}")
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    starts = [0.0] + [end for _, end in marks[:-1]]
    phonemes = tuple(
        Phoneme(ipa_of(name, reader), start, end)
        for (name, end), start in zip(marks, starts, strict=True)
        if end > start
    )
    return Speech(samples, rate, phonemes, reader.language, text)
