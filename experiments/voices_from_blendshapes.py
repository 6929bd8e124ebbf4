"""Do the jaw and lips of recorded blendshapes help to hear lips? Turns such recordings into voices for training.

The recordings are those that FACEGOOD publishes with its Audio2Face (MIT; one Mandarin speaker, 116 weights at 30
frames a second). docs/log/2026-11.md has the answer; `dithead train audio --voices FOLDER` takes what is written.

    python experiments/voices_from_blendshapes.py RECORDINGS FOLDER

RECORDINGS holds pairs of NAME.flac and NAME.npz with the arrays ``weights`` (N, C), ``names`` (C,) and ``fps``. The
weights move the head that ships as `dithead synth --speech` lets them move rendered people; its lips are the voice's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.media.audio import read_audio
from dithead.synth.corpus.voice_clip import MOUTH_RATE
from dithead.synth.face.blendshapes import LATE, read_blendshapes
from dithead.synth.face.units import CONTROLS
from dithead.synth.person.spoken_lips import spoken_lips
from shared import RATE, make_parser


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recordings", metavar="RECORDINGS", type=Path)
    parser.add_argument("output", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.recordings.glob("*.npz")):
        wave = read_audio(path.with_suffix(".flac"), RATE)
        moments = np.arange(int(len(wave) / RATE * MOUTH_RATE)) / MOUTH_RATE
        units = read_blendshapes(path).at(moments + LATE)
        nothing = np.zeros(len(units), np.float32)
        lips = spoken_lips(units, nothing, nothing).astype(np.float16)
        mouth = np.zeros((len(units), len(CONTROLS) + 1), np.float16)  # unknown; the lip predictor does not learn it
        whole = (wave * 32767).clip(-32768, 32767).astype(np.int16)
        np.savez(options.output / path.name, wave=whole, mouth=mouth, lips=lips, voice=path.stem)
    print(f"train with: dithead train audio --voices {options.output} --set audio.voice_lips=1 ...")


if __name__ == "__main__":
    main()
