"""How well does a mouth follow a recording? Against the lips of GRID's real speakers, whose files name what is said.

python runs/synth_speech.py PREPARED_GRID [EVERY]
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from dithead.face.lip_opening import lip_aperture
from dithead.prepare.dataset import Clip, Dataset
from dithead.synth.corpus.realism import jaw_alone
from dithead.synth.corpus.recordings import Recording
from dithead.synth.corpus.talking_clip import loudness
from dithead.synth.face.sound_to_mouth import mouth_from_sound
from dithead.synth.face.visemes import CURVE_RATE, SpeakingStyle, lip_gap
from dithead.synth.voice.phoneme_alignment import align

_CODE = re.compile(r"([blps][bgrw][abiw][a-z][0-9z][anps])(?![a-z0-9])")
_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_WORDS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"}, {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"}, {},
    {"z": "zero"} | {str(i): word for i, word in enumerate(_DIGITS)},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)  # fmt: skip


def correlations(clip: Clip, text: str) -> list[float]:
    """Of the opening with the measured one: text alone, sound alone, both as --speech has them, loudness alone."""
    wave, real = clip.audio(), np.array([lip_aperture(frame) for frame in clip.track().landmarks])
    n, heard, said = len(real), mouth_from_sound(wave), align(wave, text, "en")
    unsaid = replace(said, phonemes=(), text="")
    ways = [Recording(Path(), said, None), Recording(Path(), unsaid, heard), Recording(Path(), said, heard)]
    at = ((np.arange(n) + 0.5) / clip.fps * CURVE_RATE).astype(int)
    gaps = [lip_gap(way.curves(0.0, n / clip.fps, SpeakingStyle())[at]) for way in ways]
    gaps.append(lip_gap(jaw_alone(loudness(wave, n, clip.fps))))
    return [float(np.corrcoef(gap, real)[0, 1]) for gap in gaps]


def main(dataset: str, every: int) -> None:
    rows = []
    for clip in Dataset(dataset).clips()[::every]:
        if code := _CODE.search(clip.id):
            words = [names.get(c, c.upper()) for names, c in zip(_WORDS, code[1], strict=True)]
            rows.append(correlations(clip, " ".join(words)))
    told = zip(("text", "sound", "both", "loudness"), np.mean(rows, 0), np.std(rows, 0) / len(rows) ** 0.5, strict=True)
    print(len(rows), "clips:", ", ".join(f"{name} {r:.2f} ± {e:.2f}" for name, r, e in told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
