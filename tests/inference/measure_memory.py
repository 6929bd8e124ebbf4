"""Peak memory and speed of ``generate``: python tests/inference/measure_memory.py SECONDS FPS FOLDER [MODEL].

Writes a presenter's video of that length with as much speech into the folder, and gives it to a process of its own.
FPS may be a fraction. What lies there from an earlier call is used again, so that a run that was killed goes on.
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


def make(seconds: int, fps: Fraction, video: Path, speech: Path) -> None:
    from dithead.media.audio import read_audio, write_audio
    from dithead.media.video import VideoInfo, VideoWriter, read_frames

    seen = islice(read_frames(EXAMPLES / "presenters" / "mia.mp4"), 48)
    frames = [cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA) for f in seen]
    with VideoWriter(video, VideoInfo(256, 256, fps)) as writer:
        for frame in islice(cycle([*frames, *frames[-2:0:-1]]), int(seconds * fps)):
            writer.write(frame)
    wave = read_audio(EXAMPLES / "speech" / "english.flac")
    write_audio(speech, np.resize(wave, seconds * 16000), 16000)


def measure(video: Path, speech: Path, output: Path, model: str) -> None:
    from dithead.inference.pipeline import generate

    begun, seen = time.process_time(), Peaks()
    result = generate(video, speech, output, model=model, progress=seen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = result.frames / (time.process_time() - begun)
    print(f"{result.frames} frames, peak {peak:.0f} MB, {speed:.1f} frames per second of processor time; {seen}")


class Peaks:
    """The peak so far, in MB, at the end of each stage, and at each tenth of it on the terminal."""

    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self._told = 0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if total and done * 10 // total != self._told:
            self._told = done * 10 // total
            self.stages[stage] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            held = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() // 2**20
            print(f"{stage} {done} of {total}: {held} MB now, {self.stages[stage]} MB at most", flush=True)

    def __str__(self) -> str:
        return ", ".join(f"{stage} {peak} MB" for stage, peak in self.stages.items())


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        measure(*map(Path, sys.argv[2:5]), sys.argv[5])
    else:
        seconds, fps, folder = int(sys.argv[1]), Fraction(sys.argv[2]), Path(sys.argv[3])
        names = (("v", ".mp4"), ("s", ".flac"), ("o", ".mp4"))
        files = [folder / f"{name}{seconds}x{fps.numerator}_{fps.denominator}{kind}" for name, kind in names]
        if not files[1].exists():
            make(seconds, fps, *files[:2])
        model = sys.argv[4] if len(sys.argv) > 4 else "small"
        subprocess.tracklet([sys.executable, __file__, "measure", *files, model], check=True)
