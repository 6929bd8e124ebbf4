"""Prints the proof table of docs/evaluate.md: what the ruler says of cases whose answer is known.

    python experiments/known_cases.py            # about five minutes on one core

The rendered presenters of ``examples``, three seconds of each at half their size; means over them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from dithead.checkpoint import load_model
from dithead.evaluate.baselines import write_copy, write_frozen
from dithead.evaluate.clip_measures import measure_self
from dithead.evaluate.lip_series import Measures
from dithead.evaluate.observe_video import Observation, observe
from dithead.evaluate.report import table
from dithead.evaluate.sync_measures import speech_measures
from dithead.hub import DEFAULT_MODEL
from dithead.inference.pipeline import generate
from dithead.media.audio import read_audio, write_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.types import RGB, Wave

PRESENTERS = sorted((Path(__file__).parents[1] / "examples" / "presenters").glob("*.mp4"))
RATE, FRAMES = 16000, 75
COLUMNS = {
    "lip_correlation": "lip r", "lip_velocity_correlation": "velocity r", "lip_gain": "gain", "lip_lag": "lag",
    "lmd": "LMD", "jitter": "jitter", "sync_confidence": "sync C", "sync_distance": "sync D",
    "sync_offset": "sync offset", "audio_offset_ms": "sound ± ms", "sharpness": "sharpness",
    "sharpness_crop": "in the crop", "psnr_mouth": "PSNR mouth", "ssim": "SSIM", "flicker": "flicker",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A presenter, its sound, another's, and where videos go."""

    source: Observation
    wave: Wave
    other: Wave
    folder: Path

    def written(self, name: str, frames: list[RGB], wave: Wave | None = None) -> Path:
        path = self.folder / f"{name}.mp4"
        with VideoWriter(path, self.source.info, audio=(self.wave if wave is None else wave, RATE)) as writer:
            for frame in frames:
                writer.write(frame)
        return path

    def frames(self) -> list[RGB]:
        return [frame.pixels for frame in read_frames(self.source.path)]

    def generated(self, name: str, wave: Wave) -> Path:
        sound = self.folder / f"{name}.wav"
        write_audio(sound, wave, RATE)
        return generate(self.source.path, sound, self.folder / f"{name}.mp4", model=load_model(DEFAULT_MODEL)).output


def moved(wave: Wave, frames: int) -> Wave:
    """``wave`` (n,) so many frames later."""
    n = frames * RATE // 25
    return np.pad(wave, (n, 0))[: len(wave)] if n >= 0 else np.pad(wave[-n:], (0, -n))


def later(frames: list[RGB], k: int) -> list[RGB]:
    return [frames[min(max(i - k, 0), len(frames) - 1)] for i in range(len(frames))]


def blurred(frames: list[RGB], sigma: float) -> list[RGB]:
    return [np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8) for frame in frames]


CASES: dict[str, Callable[[Case], Path]] = {
    "truth, encoded again": lambda c: write_copy(c.source, c.folder / "truth.mp4", c.wave),
    "ours": lambda c: c.generated("ours", c.wave),
    "ours, another's speech": lambda c: c.generated("other", c.other),
    "mouth frozen": lambda c: write_frozen(c.source, c.folder / "frozen.mp4", c.wave),
    "pictures 4 frames early": lambda c: c.written("early", later(c.frames(), -4)),
    "pictures 3 frames late": lambda c: c.written("late", later(c.frames(), 3)),
    "sound 2 frames early": lambda c: c.written("sound-2", c.frames(), moved(c.wave, -2)),
    "sound 5 frames late": lambda c: c.written("sound5", c.frames(), moved(c.wave, 5)),
    "blur of 1 pixel": lambda c: c.written("soft", blurred(c.frames(), 1)),
    "blur of 2.5 pixels": lambda c: c.written("softer", blurred(c.frames(), 2.5)),
    "noise of 3 grey levels": lambda c: c.written("noisy", noisy(c.frames())),
}


def noisy(frames: list[RGB]) -> list[RGB]:
    rng = np.random.default_rng(0)
    return [np.clip(f + rng.normal(0, 3, f.shape), 0, 255).astype(np.uint8) for f in frames]


def presenter(path: Path, other: Path, folder: Path) -> Case:
    folder.mkdir()
    clip, info = folder / "clip.mp4", probe(path)
    own, strange = (read_audio(p, RATE)[: FRAMES * RATE // 25] for p in (path, other))
    with VideoWriter(clip, replace(info, width=info.width // 2, height=info.height // 2), audio=(own, RATE)) as writer:
        for frame in islice(read_frames(path), FRAMES):
            writer.write(np.ascontiguousarray(frame.pixels[::2, ::2]))
    return Case(observe(clip), own, strange, folder)


def scores(case: Case, make: Callable[[Case], Path]) -> Measures:
    """Sound in step is the presenter's own: what another's speech drives is measured by the sound in its file."""
    made = observe(make(case), case.source)
    return measure_self(made, case.source, case.wave) | speech_measures(made)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = zip(PRESENTERS, PRESENTERS[1:] + PRESENTERS[:1], strict=True)
        people = [presenter(path, other, Path(folder) / path.stem) for path, other in pairs]
        lines = []
        for name, make in CASES.items():
            found = [scores(case, make) for case in people]
            means = [float(np.nanmean([f[key] for f in found])) for key in COLUMNS]
            lines.append([name, *(f"{mean + 0.0:.2f}" for mean in means)])
            print(f"{name}: velocity {[round(f['lip_velocity_correlation'], 2) for f in found]}", flush=True)
        print(table(["case", *COLUMNS.values()], lines))


if __name__ == "__main__":
    main()
