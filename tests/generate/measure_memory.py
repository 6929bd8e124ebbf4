"""Peak memory and speed of ``generate``: python tests/generate/measure_memory.py SECONDS FPS FOLDER.

Writes a presenter's video of that length with as much speech into the folder, and gives it to a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"


def make(seconds: int, fps: int, video: Path, speech: Path) -> None:
    from dithead.media.audio import read_audio, write_audio
    from dithead.media.video import VideoInfo, VideoWriter, read_frames

    seen = islice(read_frames(EXAMPLES / "presenters" / "mia.mp4"), 48)
    frames = [cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA) for f in seen]
    with VideoWriter(video, VideoInfo(256, 256, Fraction(fps))) as writer:
        for frame in islice(cycle([*frames, *frames[-2:0:-1]]), seconds * fps):
            writer.write(frame)
    wave = read_audio(EXAMPLES / "speech" / "english.flac")
    write_audio(speech, np.resize(wave, seconds * 16000), 16000)


def measure(video: Path, speech: Path, output: Path) -> None:
    from dithead.generate.pipeline import generate

    begun = time.process_time()
    result = generate(video, speech, output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = result.frames / (time.process_time() - begun)
    print(f"{result.frames} frames, peak {peak:.0f} MB, {speed:.1f} frames per second of processor time")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        measure(*map(Path, sys.argv[2:]))
    else:
        seconds, fps, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
        files = [folder / f"{name}{seconds}{kind}" for name, kind in (("v", ".mp4"), ("s", ".flac"), ("o", ".mp4"))]
        make(seconds, fps, *files[:2])
        subprocess.run([sys.executable, __file__, "measure", *files], check=True)
