"""Do the jaw and lips of recorded blendshapes help to hear lips? Turns such recordings into voices for training.

The recordings are those that FACEGOOD publishes with its Audio2Face (MIT; one Mandarin speaker, 116 weights at 30
frames a second). docs/log/2026-11.md has the answer; `dithead train audio --voices FOLDER` takes what is written.

    python experiments/voices_from_blendshapes.py RECORDINGS FOLDER

RECORDINGS holds pairs of NAME.flac and NAME.npz with the arrays ``weights`` (N, 116), ``names`` (116,) and ``fps``. Of
the lips a voice knows the opening alone. It is a sum of four weights; their factors are those with which such a sum
fits best what `small` 0.6 predicts from the sound (least squares, none below zero, r 0.42 to 0.60 on the recording that
was left out), so their scale is that of people whose lips were measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.media.audio import read_audio
from dithead.types import Wave
from shared import RATE, make_parser

FACTORS = {"mouth_stretch_c": 2.40, "mouth_lowerLipDepress": 1.76, "mouth_funnel_u": 0.76, "mouth_upperLipRaise": 0.87}
"""What 1 of each weight, or of the mean of its left and right one, opens the lips, in units of `UNIT`."""
UNIT = 0.0556  # of the outer eye corners' distance; the spread of openings in the training of `small`
LATE = 1 / 30  # seconds by which the weights come after the sound: the lag that fits best in all seven recordings
MOUTH_RATE, CONTROLS = 100, 8  # of the files of `dithead voices`


def opening(weights: Wave, names: list[str]) -> Wave:
    """Return the opening (N,) over the distance of the outer eye corners, from weights (N, 116)."""
    total = np.zeros(len(weights))
    for name, factor in FACTORS.items():
        columns = [
            i for i, known in enumerate(names) if known in (name, f"{name}_l", f"{name}_r", f"{name}l", f"{name}r")
        ]
        total += factor * weights[:, columns].mean(1)
    return np.asarray(total.clip(0) * UNIT, np.float32)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recordings", metavar="RECORDINGS", type=Path)
    parser.add_argument("output", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.recordings.glob("*.npz")):
        wave = read_audio(path.with_suffix(".flac"), RATE)
        with np.load(path) as stored:
            shown = opening(stored["weights"].astype(np.float32), [str(name) for name in stored["names"]])
            times = np.arange(len(shown)) / float(stored["fps"]) - LATE
        moments = np.arange(int(len(wave) / RATE * MOUTH_RATE)) / MOUTH_RATE
        gap = np.interp(moments, times, shown).astype(np.float32)
        mouth = np.zeros((len(gap), CONTROLS), np.float16)  # unknown; the lip predictor does not learn from it
        whole = (wave * 32767).clip(-32768, 32767).astype(np.int16)
        np.savez(options.output / path.name, wave=whole, mouth=mouth, gap=gap, voice=path.stem)
    print(f"train with: dithead train audio --voices {options.output} --set audio.voice_lips=1 ...")


if __name__ == "__main__":
    main()
