"""How much memory does ``generate`` need, and does it grow with the length of the video?

It makes the table of peak memory and speed by length in docs/results/cost.md.

    python experiments/memory.py SECONDS FPS FOLDER [MODEL]

It writes a presenter's clip, played back and forth for so many seconds at 256 pixels, and as much speech into FOLDER,
and gives them to a process of its own. Files from an earlier call are used again, so a run that was killed goes on.
Speed is in frames per second of processor time.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

import dithead
from dithead.media.audio import read_audio, write_audio
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from shared import EXAMPLES, RATE, make_parser

SIDE = 256  # pixels
CLIP_FRAMES = 48  # frames of the presenter that are repeated


def write_inputs(seconds: int, fps: Fraction, video: Path, speech: Path) -> None:
    """Write the long video and the long speech track."""
    clip = islice(read_frames(EXAMPLES / "presenters" / "mia.mp4"), CLIP_FRAMES)
    frames = [cv2.resize(f.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in clip]
    with VideoWriter(video, VideoInfo(SIDE, SIDE, fps)) as writer:
        for frame in islice(cycle([*frames, *frames[-2:0:-1]]), int(seconds * fps)):
            writer.write(frame)
    wave = read_audio(EXAMPLES / "speech" / "english.flac")
    write_audio(speech, np.resize(wave, seconds * RATE), RATE)


def peak_memory() -> float:
    """Return the largest memory in use so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class PeakMemoryByStage:
    """A progress callback that prints memory at each tenth of a stage and keeps the peak of each stage in MB."""

    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self._last_tenth = -1

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if total and done * 10 // total != self._last_tenth:
            self._last_tenth = done * 10 // total
            self.stages[stage] = round(peak_memory())
            now = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() // 2**20
            print(f"{stage} {done} of {total}: {now} MB now, {self.stages[stage]} MB at most", flush=True)


def measure(video: Path, speech: Path, output: Path, model: str) -> None:
    """Generate the video and print memory and speed; runs in a process of its own."""
    begun, stages = time.process_time(), PeakMemoryByStage()
    result = dithead.generate(video, speech, output, model=model, fit="silence", progress=stages)
    speed = result.frames / (time.process_time() - begun)
    peaks = ", ".join(f"{stage} {peak} MB" for stage, peak in stages.stages.items())
    print(f"{result.frames} frames, peak {peak_memory():.0f} MB, {speed:.1f} frames per second; {peaks}")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("seconds", type=int)
    parser.add_argument("fps", type=Fraction, help="frames per second, such as 25 or 30000/1001")
    parser.add_argument("folder", type=Path, help="where the video, the speech and the output go")
    parser.add_argument("model", nargs="?", default="small", help="shipped name, model folder or hub id")
    options = parser.parse_args()
    name = f"{options.seconds}x{options.fps.numerator}_{options.fps.denominator}"
    video, speech, output = (options.folder / f"{kind}{name}{end}" for kind, end in
                             (("video", ".mp4"), ("speech", ".flac"), ("output", ".mp4")))  # fmt: skip
    if not speech.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        write_inputs(options.seconds, options.fps, video, speech)
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(video, speech, output, options.model))
    process.start()
    process.join()
    raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
