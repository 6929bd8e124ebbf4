"""Does a change of the code leave every generated frame as it was? Records or checks hashes of what is generated.

It makes no table; run it before and after rearranging code that must not change what it computes.

    python experiments/golden_outputs.py record golden.json
    python experiments/golden_outputs.py check golden.json

Every case runs the shipped model on the presenters and the speech in examples/ and is stored as the SHA-256 of its
decoded frames: the demo, two presenters with another speech, a portrait, an interrupted and resumed job, the other
options of sampling, and a live run. Hashes are comparable on one machine and with one number of threads only, so the
script sets one thread. About fifteen minutes on one core.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported below

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import dithead
from dithead.inference.streaming import LiveHead
from dithead.media.audio import read_audio, write_audio
from shared import EXAMPLES, RATE, make_parser

LONG_SPEECH = 12  # seconds: a job of more than one segment
INTERRUPTED_AT = 280  # frames: within its second segment
CHUNK = 1600  # samples of a live run's chunk: a tenth of a second


def presenter(name: str) -> Path:
    return EXAMPLES / "presenters" / f"{name}.mp4"


def speech(name: str) -> Path:
    return EXAMPLES / "speech" / f"{name}.flac"


def hash_frames(video: Path) -> str:
    """Return the SHA-256 of a video's decoded frames and their time stamps."""
    digest = hashlib.sha256()
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            digest.update(str(frame.pts).encode())
            digest.update(np.ascontiguousarray(frame.to_ndarray()).tobytes())
    return digest.hexdigest()


def generate(folder: Path, source: Path, sound: Path, **options: Any) -> str:
    """Generate one video and hash it."""
    output = folder / "out.mp4"
    options.setdefault("fit", "silence")  # the default when the hashes were first recorded
    dithead.generate(source, sound, output, **options)
    return hash_frames(output)


def portrait(folder: Path) -> str:
    """Generate from a still picture."""
    with av.open(str(presenter("ruth"))) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="bgr24")
    cv2.imwrite(str(folder / "ruth.png"), picture)
    return generate(folder, folder / "ruth.png", speech("english"))


def write_long_speech(path: Path) -> None:
    """Repeat a speech track for twelve seconds, at its own sample rate."""
    with av.open(str(speech("hindi"))) as container:
        rate = container.streams.audio[0].rate
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1).ravel()
    largest = np.iinfo(sound.dtype).max + 1 if np.issubdtype(sound.dtype, np.integer) else 1
    wave = (sound.astype(np.float64) / largest).astype(np.float32)
    write_audio(path, np.resize(wave, LONG_SPEECH * rate), rate)


def resumed(folder: Path) -> str:
    """Interrupt a job in its second segment, and call it again."""

    def interrupt(what: str, done: int, _total: int | None) -> None:
        if "mouth" in what and done == INTERRUPTED_AT:
            raise KeyboardInterrupt

    write_long_speech(folder / "long.wav")
    try:
        generate(folder, presenter("mia"), folder / "long.wav", fit="bounce", progress=interrupt)
    except KeyboardInterrupt:
        return generate(folder, presenter("mia"), folder / "long.wav", fit="bounce")
    raise SystemExit("the job ended before it could be interrupted")


def live(_folder: Path) -> str:
    """Hash the frames of a live run."""
    wave = np.asarray(read_audio(speech("english"), RATE), np.float32).reshape(-1)[: 3 * RATE]
    digest = hashlib.sha256()
    for frame in LiveHead(presenter("ben")).frames(wave[k : k + CHUNK] for k in range(0, len(wave), CHUNK)):
        digest.update(frame.pixels.tobytes())
    return digest.hexdigest()


CASES: dict[str, Callable[[Path], str]] = {
    "demo": lambda f: generate(f, presenter("mia"), speech("english")),
    "ben_spanish": lambda f: generate(f, presenter("ben"), speech("spanish")),
    "ruth_hindi": lambda f: generate(f, presenter("ruth"), speech("hindi")),
    "portrait": portrait,
    "resumed": resumed,
    "live": live,
    "previous": lambda f: generate(f, presenter("mia"), speech("spanish"), reference="previous", end=1.5),
    "interpolate": lambda f: generate(f, presenter("mia"), speech("spanish"), interpolate=True, end=2.0),
    "no_detail": lambda f: generate(f, presenter("ben"), speech("english"), detail=False, end=1.5),
    "steps": lambda f: generate(f, presenter("ruth"), speech("english"), steps=3, seed=7, occlusion="off", end=1.5),
}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("mode", choices=("record", "check"))
    parser.add_argument("file", type=Path, help="JSON file of hashes")
    parser.add_argument("--case", action="append", choices=tuple(CASES), help="only these cases; repeatable")
    options = parser.parse_args()
    recorded = json.loads(options.file.read_text()) if options.file.exists() else {}
    changed = []
    for name in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = CASES[name](Path(folder))
        same = recorded.get(name) == found
        if options.mode == "record":
            recorded[name] = found
            options.file.write_text(json.dumps(recorded, indent=1) + "\n")
        elif not same:
            changed.append(name)
        print(f"{name:14} {found[:16]} {'as recorded' if same else 'differs' if name in changed else ''}", flush=True)
    if changed:
        raise SystemExit(f"changed: {', '.join(changed)}")


if __name__ == "__main__":
    main()
