"""What do the measures of `dithead evaluate` say in cases whose answer is known?

It makes the table of docs/results/known-cases.md. About five minutes on one core.

    python experiments/known_cases.py

Cases are made from the rendered presenters in examples/, three seconds of each at half their size; numbers are means
over the presenters. What another speech drives is measured with the sound in its own file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import dithead
from dithead.checkpoint import load_model
from dithead.evaluate.baselines import write_copy, write_frozen
from dithead.evaluate.clip_measures import measure_self
from dithead.evaluate.lip_series import Measures
from dithead.evaluate.observe_video import Observation, observe
from dithead.evaluate.sync_measures import measure_sync
from dithead.hub import DEFAULT_MODEL
from dithead.media.audio import read_audio, write_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.types import RGB, Wave
from shared import EXAMPLES, FPS, RATE, make_parser, print_table, shift_sound

PRESENTERS = sorted((EXAMPLES / "presenters").glob("*.mp4"))
FRAMES = 75  # three seconds
COLUMNS = (
    "lip_correlation", "lip_velocity_correlation", "lip_gain", "lip_lag", "lmd", "jitter", "sync_confidence",
    "sync_distance", "sync_offset", "audio_offset_ms", "sharpness", "sharpness_crop", "psnr_mouth", "ssim", "flicker",
)  # fmt: skip


@dataclass(frozen=True)
class Presenter:
    """A presenter, the sound in the video, the sound of another presenter, and a folder for the videos of all cases."""

    source: Observation
    wave: Wave
    other_wave: Wave
    folder: Path

    def write(self, name: str, frames: list[RGB], wave: Wave | None = None) -> Path:
        """Write frames with the presenter's own sound, or another."""
        path = self.folder / f"{name}.mp4"
        with VideoWriter(path, self.source.info, audio=(self.wave if wave is None else wave, RATE)) as writer:
            for frame in frames:
                writer.write(frame)
        return path

    def frames(self) -> list[RGB]:
        """Read the frames of the source."""
        return [frame.pixels for frame in read_frames(self.source.path)]

    def generate(self, name: str, wave: Wave) -> Path:
        """Generate the presenter saying ``wave`` with the shipped model."""
        sound, output = self.folder / f"{name}.wav", self.folder / f"{name}.mp4"
        write_audio(sound, wave, RATE)
        dithead.generate(self.source.path, sound, output, model=load_model(DEFAULT_MODEL), fit="silence")
        return output


def delay(frames: list[RGB], k: int) -> list[RGB]:
    """Show every frame k frames later; the first or last frame is repeated."""
    return [frames[min(max(i - k, 0), len(frames) - 1)] for i in range(len(frames))]


def blur(frames: list[RGB], sigma: float) -> list[RGB]:
    """Blur every frame by a Gaussian with a deviation of ``sigma`` pixels."""
    return [np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8) for frame in frames]


def add_noise(frames: list[RGB]) -> list[RGB]:
    """Add noise with a deviation of three grey levels to every frame."""
    rng = np.random.default_rng(0)
    return [np.clip(f + rng.normal(0, 3, f.shape), 0, 255).astype(np.uint8) for f in frames]


CASES: dict[str, Callable[[Presenter], Path]] = {
    "truth, encoded again": lambda p: write_copy(p.source, p.folder / "truth.mp4", p.wave),
    "generated, own speech": lambda p: p.generate("own", p.wave),
    "generated, another speech": lambda p: p.generate("other", p.other_wave),
    "mouth frozen": lambda p: write_frozen(p.source, p.folder / "frozen.mp4", p.wave),
    "pictures 4 frames early": lambda p: p.write("early", delay(p.frames(), -4)),
    "pictures 3 frames late": lambda p: p.write("late", delay(p.frames(), 3)),
    "sound 2 frames early": lambda p: p.write("sound-2", p.frames(), shift_sound(p.wave, -2)),
    "sound 5 frames late": lambda p: p.write("sound5", p.frames(), shift_sound(p.wave, 5)),
    "blur of 1 pixel": lambda p: p.write("soft", blur(p.frames(), 1)),
    "blur of 2.5 pixels": lambda p: p.write("softer", blur(p.frames(), 2.5)),
    "noise of 3 grey levels": lambda p: p.write("noisy", add_noise(p.frames())),
}


def prepare_presenter(path: Path, other: Path, folder: Path) -> Presenter:
    """Write the first seconds of a presenter at half its size, and observe them."""
    folder.mkdir()
    clip, info = folder / "clip.mp4", probe(path)
    wave, other_wave = (read_audio(p, RATE)[: FRAMES * RATE // FPS] for p in (path, other))
    with VideoWriter(clip, replace(info, width=info.width // 2, height=info.height // 2), audio=(wave, RATE)) as writer:
        for frame in islice(read_frames(path), FRAMES):
            writer.write(np.ascontiguousarray(frame.pixels[::2, ::2]))
    return Presenter(observe(clip), wave, other_wave, folder)


def measure(presenter: Presenter, make: Callable[[Presenter], Path]) -> Measures:
    """Make a case's video and measure it against the presenter."""
    video = observe(make(presenter), presenter.source)
    return measure_self(video, presenter.source, presenter.wave) | measure_sync(video)


def main() -> None:
    make_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = zip(PRESENTERS, PRESENTERS[1:] + PRESENTERS[:1], strict=True)
        presenters = [prepare_presenter(path, other, Path(folder) / path.stem) for path, other in pairs]
        lines = []
        for name, make in CASES.items():
            measures = [measure(presenter, make) for presenter in presenters]
            means = [float(np.nanmean([m[key] for m in measures])) for key in COLUMNS]
            lines.append([name, *(f"{mean + 0.0:.2f}" for mean in means)])
            velocity = [round(m["lip_velocity_correlation"], 2) for m in measures]
            print(f"{name}: velocity correlation of each presenter {velocity}", flush=True)
        print_table(["case", *COLUMNS], lines)


if __name__ == "__main__":
    main()
