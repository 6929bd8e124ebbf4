"""How well does the synthetic mouth follow a recording: by its text, by its sound, by both, by its loudness alone?

It makes the figures on recorded speech in docs/results/synth.md.

    python experiments/synth_lips_from_recording.py PREPARED_GRID [EVERY]

The truth are the tracked lips of speakers of the GRID corpus, whose file names say what is spoken. With EVERY, only
one clip of so many is taken. Printed: correlation with the measured lip opening, mean and standard error over clips.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from dithead.face.lip_opening import lip_opening
from dithead.prepare.dataset import Clip
from dithead.synth.corpus.realism import jaw_from_loudness
from dithead.synth.corpus.recordings import Recording
from dithead.synth.corpus.script import frame_loudness
from dithead.synth.face.sound_to_mouth import mouth_from_sound
from dithead.synth.face.visemes import CURVE_RATE, SpeakingStyle
from dithead.synth.person.spoken_lips import lip_gap, lips_of_controls
from dithead.synth.voice.phoneme_alignment import align
from shared import load_clips, make_parser, print_table

# A GRID name such as "bbaf2n" is "bin blue at F two now": one letter for each word of a fixed grammar.
CODE = re.compile(r"([blps][bgrw][abiw][a-z][0-9z][anps])(?![a-z0-9])")
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORDS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"}, {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"}, {},
    {"z": "zero"} | {str(i): word for i, word in enumerate(DIGITS)},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)  # fmt: skip
WAYS = ("text", "sound", "both", "loudness")


def correlations(clip: Clip, text: str) -> list[float]:
    """Return the correlation with the measured opening of each of WAYS; "both" is what `synth --speech` does."""
    wave, measured = clip.audio(), np.array([lip_opening(frame) for frame in clip.track().landmarks])
    n, sound, aligned = len(measured), mouth_from_sound(wave), align(wave, text, "en")
    without_text = replace(aligned, phonemes=(), text="")
    ways = [
        Recording(Path(), aligned, None), Recording(Path(), without_text, sound), Recording(Path(), aligned, sound)
    ]  # fmt: skip
    at = ((np.arange(n) + 0.5) / clip.fps * CURVE_RATE).astype(int)
    style = SpeakingStyle()
    moved = [way.curves(0.0, n / clip.fps, style)[at] for way in ways]
    moved.append(jaw_from_loudness(frame_loudness(wave, n, clip.fps)))
    openings = [lip_gap(lips_of_controls(controls, style.press)) for controls in moved]
    return [float(np.corrcoef(opening, measured)[0, 1]) for opening in openings]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("dataset", metavar="PREPARED_GRID")
    parser.add_argument("every", nargs="?", type=int, default=1, metavar="EVERY")
    options = parser.parse_args()
    measured = []
    for clip in load_clips(options.dataset)[:: options.every]:
        if code := CODE.search(clip.id):
            words = [names.get(letter, letter.upper()) for names, letter in zip(WORDS, code[1], strict=True)]
            measured.append(correlations(clip, " ".join(words)))
    means, errors = np.mean(measured, 0), np.std(measured, 0) / len(measured) ** 0.5
    lines = [[way, f"{mean:.2f}", f"{error:.2f}"] for way, mean, error in zip(WAYS, means, errors, strict=True)]
    print_table([f"{len(measured)} clips, lips by", "correlation", "standard error"], lines)


if __name__ == "__main__":
    main()
