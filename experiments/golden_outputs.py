"""Record or check the outputs that a rearrangement of the code must not change.

    python experiments/golden_outputs.py record golden.json
    python experiments/golden_outputs.py check golden.json

Every case runs the shipped model on the presenters and the speech in ``examples/`` and is stored as the SHA-256 of its
decoded frames: the demo, two presenters with another's speech, a portrait, an interrupted and resumed job, the other
switches of sampling, and a live run. Hashes are comparable on one machine with one number of threads only, so the
script sets one thread itself.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import dithead

try:
    from dithead.inference.streaming import LiveHead
except ModuleNotFoundError:  # before 0.2
    from dithead.generate.live import LiveHead  # type: ignore[import-not-found,no-redef]

EXAMPLES = Path(os.environ.get("DITHEAD_EXAMPLES", Path(__file__).resolve().parents[1] / "examples"))


def presenter(name: str) -> Path:
    return EXAMPLES / "presenters" / f"{name}.mp4"


def speech(name: str) -> Path:
    return EXAMPLES / "speech" / f"{name}.flac"


def frames_hash(video: Path) -> str:
    """SHA-256 of a video's decoded frames, with their number and time stamps."""
    digest = hashlib.sha256()
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            digest.update(str(frame.pts).encode())
            digest.update(np.ascontiguousarray(frame.to_ndarray()).tobytes())
    return digest.hexdigest()


def generated(folder: Path, source: Path, sound: Path, **options: Any) -> str:
    output = folder / "out.mp4"
    dithead.generate(source, sound, output, **options)
    return frames_hash(output)


def portrait(folder: Path) -> str:
    with av.open(str(presenter("ruth"))) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="bgr24")
    cv2.imwrite(str(folder / "ruth.png"), picture)
    return generated(folder, folder / "ruth.png", speech("english"))


def resumed(folder: Path) -> str:
    """A job of more than one segment, interrupted in its second one and called again."""

    def interrupt(what: str, done: int, total: int | None) -> None:
        if "mouth" in what and done == 280:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"fit": "bounce"}
    long = folder / "long.wav"
    with av.open(str(speech("hindi"))) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
        rate = container.streams.audio[0].rate
    from dithead.media.audio import write_audio

    wave = sound.astype(np.float32).ravel() / (32768 if sound.dtype == np.int16 else 1)
    if sound.dtype == np.int32:
        wave = sound.astype(np.float64).ravel().astype(np.float32) / 2**31
    write_audio(long, np.tile(wave, 1 + int(12 * rate / len(wave)))[: 12 * rate].astype(np.float32), rate)
    try:
        dithead.generate(presenter("mia"), long, folder / "out.mp4", progress=interrupt, **options)
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("the job ended before it could be interrupted")
    dithead.generate(presenter("mia"), long, folder / "out.mp4", **options)
    return frames_hash(folder / "out.mp4")


def live(folder: Path) -> str:
    from dithead.media.audio import read_audio

    wave = read_audio(speech("english"), 16000)
    wave = np.asarray(wave, np.float32).reshape(-1)[: 3 * 16000]
    head = LiveHead(presenter("ben"))
    digest = hashlib.sha256()
    for frame in head.frames(wave[k : k + 1600] for k in range(0, len(wave), 1600)):
        digest.update(frame.pixels.tobytes())
    return digest.hexdigest()


CASES: dict[str, Callable[[Path], str]] = {
    "demo": lambda f: generated(f, presenter("mia"), speech("english")),
    "ben_spanish": lambda f: generated(f, presenter("ben"), speech("spanish")),
    "ruth_hindi": lambda f: generated(f, presenter("ruth"), speech("hindi")),
    "portrait": portrait,
    "resumed": resumed,
    "live": live,
    "previous": lambda f: generated(f, presenter("mia"), speech("spanish"), reference="previous", end=1.5),
    "interpolate": lambda f: generated(f, presenter("mia"), speech("spanish"), interpolate=True, end=2.0),
    "no_detail": lambda f: generated(f, presenter("ben"), speech("english"), detail=False, end=1.5),
    "steps": lambda f: generated(f, presenter("ruth"), speech("english"), steps=3, seed=7, occlusion="off", end=1.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("record", "check"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--case", action="append", choices=tuple(CASES), help="only these cases; repeatable")
    options = parser.parse_args()
    known = json.loads(options.file.read_text()) if options.file.exists() else {}
    wrong = []
    for name in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = CASES[name](Path(folder))
        same = known.get(name) == found
        print(
            f"{name:14} {found[:16]} {'as recorded' if same else 'differs' if options.mode == 'check' else ''}",
            flush=True,
        )
        if options.mode == "record":
            known[name] = found
            options.file.write_text(json.dumps(known, indent=1) + "\n")
        elif not same:
            wrong.append(name)
    if wrong:
        sys.exit(f"changed: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
