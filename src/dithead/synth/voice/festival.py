"""Speech with phoneme times from the voices of Festival and Flite, which were built from recordings of real speakers.

espeak-ng sounds like a machine in every voice; these voices do not. Their phoneme times are exact too: Festival reports
the segments of the utterance it made, and Flite prints them.
https://www.cstr.ed.ac.uk/projects/festival/  http://www.festvox.org/flite/
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dithead.errors import DataError, DitheadError
from dithead.synth.voice.utterance import Phoneme, Utterance

# Names that the voices give to silence.
_SILENCES = {"#", "pau", "_", "H#", "h#", "ssil", "sil", "##"}

# The phones of each voice family as IPA. A phone that is missing here is spelled by its first letter, see `ipa_of`.
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
class FestivalVoice:
    """A voice of Festival or of Flite, its small sibling."""

    engine: str  # "festival" or "flite"
    voice: str  # the engine's name of the voice
    language: str  # espeak-ng's code of the language
    ipa: dict[str, str]  # phone of this voice -> IPA


FESTIVAL_VOICES: tuple[FestivalVoice, ...] = (
    FestivalVoice("flite", "slt", "en", _ENGLISH),
    FestivalVoice("flite", "rms", "en", _ENGLISH),
    FestivalVoice("flite", "awb", "en", _ENGLISH),
    FestivalVoice("festival", "kal_diphone", "en", _ENGLISH),
    FestivalVoice("festival", "ked_diphone", "en", _ENGLISH),
    FestivalVoice("festival", "cmu_us_slt_arctic_hts", "en", _ENGLISH),
    FestivalVoice("festival", "lp_diphone", "it", _ROMANCE),
    FestivalVoice("festival", "pc_diphone", "it", _ROMANCE),
    FestivalVoice("festival", "upc_ca_ona_hts", "ca", _ROMANCE),
    FestivalVoice("festival", "czech_dita", "cs", _CZECH),
    FestivalVoice("festival", "czech_krb", "cs", _CZECH),
    FestivalVoice("festival", "czech_machac", "cs", _CZECH),
    FestivalVoice("festival", "czech_ph", "cs", _CZECH),
    FestivalVoice("festival", "hy_fi_mv_diphone", "fi", _FINNISH),
    FestivalVoice("festival", "suo_fi_lj_diphone", "fi", _FINNISH),
    FestivalVoice("festival", "hindi_NSK_diphone", "hi", _INDIC),
    FestivalVoice("festival", "marathi_NSK_diphone", "hi", _INDIC),
    FestivalVoice("festival", "telugu_NSK_diphone", "te", _INDIC),
    FestivalVoice("festival", "msu_ru_nsh_clunits", "ru", _RUSSIAN),
)


def installed_voices() -> list[FestivalVoice]:
    """Return the voices whose engine and data this machine has."""
    listed = _run_festival("(print (voice.list))").split("(")[-1].rstrip(")\n ").split()
    festival = [name.strip() for name in listed]
    flite = _run(["flite", "-lv"]).split() if shutil.which("flite") else []
    return [v for v in FESTIVAL_VOICES if v.voice in (festival if v.engine == "festival" else flite)]


def speak_with_festival(texts: Sequence[str], voice: FestivalVoice, stretch: float = 1.0) -> list[Utterance]:
    """Synthesise each text with a voice of Festival or Flite.

    Args:
        texts: What is said, one utterance each.
        voice: One of `installed_voices`.
        stretch: Factor on the duration of every phoneme; above 1 is slower.

    Returns:
        One utterance per text.

    Raises:
        DitheadError: The engine failed.
        DataError: The engine made no sound for a text.
    """
    with tempfile.TemporaryDirectory() as folder:
        synthesise = _run_festival_voice if voice.engine == "festival" else _run_flite_voice
        phone_ends = synthesise(texts, voice, stretch, Path(folder))
        return [
            _read_utterance(Path(folder) / f"{i}.wav", ends, voice, text)
            for i, (ends, text) in enumerate(zip(phone_ends, texts, strict=True))
        ]


def ipa_of(phone: str, voice: FestivalVoice) -> str:
    """Return a phone's IPA: the voice's own table, else the phone's first letter; '' for silence."""
    if phone in _SILENCES:
        return ""
    name = re.sub(r"[0-9:']+$", "", phone)
    if name in voice.ipa:
        return voice.ipa[name]
    half = name[: len(name) // 2]
    if half and half * 2 == name:  # the Russian voice writes a soft consonant twice
        return voice.ipa.get(half, half)
    return name[:1]


_PhoneEnds = list[tuple[str, float]]  # each phone of an utterance and its end in seconds


def _run_flite_voice(texts: Sequence[str], voice: FestivalVoice, stretch: float, folder: Path) -> list[_PhoneEnds]:
    """Write ``folder/N.wav`` for each text; returns the phones of each."""
    phone_ends = []
    for i, text in enumerate(texts):
        command = ["flite", "-voice", voice.voice, "--setf", f"duration_stretch={stretch:.3f}", "-psdur",
                   "-t", text, "-o", str(folder / f"{i}.wav")]  # fmt: skip
        pairs = [part.rsplit(":", 1) for part in _run(command).split()]
        phone_ends.append([(name, float(end)) for name, end in pairs])
    return phone_ends


def _run_festival_voice(texts: Sequence[str], voice: FestivalVoice, stretch: float, folder: Path) -> list[_PhoneEnds]:
    """Write ``folder/N.wav`` for each text in one run of Festival; returns the phones of each."""
    script = [f"(voice_{voice.voice})", f"(Parameter.set 'Duration_Stretch {stretch:.3f})"]
    for i, text in enumerate(texts):
        quoted = text.replace("\\", " ").replace('"', " ")
        script += [
            f'(set! utt (SynthText "{quoted}"))',
            f'(utt.save.wave utt "{folder / f"{i}.wav"}" \'riff)',
            '(mapcar (lambda (s) (format t "@%s %f\\n" (item.name s) (item.feat s "end")))'
            " (utt.relation.items utt 'Segment))",
            '(format t "@@\\n")',
        ]
    phone_ends = _parse_phone_ends(_run_festival("\n".join(script)))
    if len(phone_ends) != len(texts):
        raise DitheadError(f"festival's voice {voice.voice} made {len(phone_ends)} of {len(texts)} utterances")
    return phone_ends


def _parse_phone_ends(printed: str) -> list[_PhoneEnds]:
    """Read what the script above prints: "@NAME END" for each phone and "@@" after each utterance."""
    utterances: list[_PhoneEnds] = [[]]
    for line in printed.splitlines():
        at = line.find("@")
        if line[at : at + 2] == "@@":
            utterances.append([])
        elif at >= 0:
            name, end = line[at + 1 :].split()[:2]
            utterances[-1].append((name, float(end)))
    return utterances[:-1]


def _run_festival(script: str) -> str:
    """Return what Festival prints for a Scheme script; '' where Festival is not installed."""
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


def _read_utterance(path: Path, phone_ends: _PhoneEnds, voice: FestivalVoice, text: str) -> Utterance:
    if not phone_ends or not path.is_file():
        raise DataError(f"{voice.engine}'s voice {voice.voice} made no sound for {text!r}")
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32768)
    starts = [0.0] + [end for _, end in phone_ends[:-1]]
    phonemes = tuple(
        Phoneme(ipa_of(name, voice), start, end)
        for (name, end), start in zip(phone_ends, starts, strict=True)
        if end > start
    )
    return Utterance(samples, rate, phonemes, voice.language, text)
