"""Says before a long job how long it will take on this machine, from how long earlier jobs took here.

A job takes some seconds to start, and then some for each frame. The latter are kept in ``speed.json`` of the cache
folder, by model, device and size of the picture. The former, and without a record the latter, too, are our own
machine's, scaled by how fast this machine does a small piece of the same work; they are found once and kept there, too.
"""

from __future__ import annotations

import json
import math
import os
import time
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from dithead.inference.result import GenerateResult
from dithead.inference.source.timeline import SourceClip
from dithead.media.files import cache_folder, printable
from dithead.options import GenerateJob
from dithead.progress import Progress, plural, tell

_START = 2.5  # seconds of loading and of the first pass's beginning, two Zen 4 cores (docs/results/cost.md)
_FIRST_GUESS = 0.027  # seconds a frame of 512 x 512 after that, on the same machine
_PIXELS_GUESS = 0.5  # by which power of the number of pixels that grows (1080p against 512 x 512)
_PROBE_SECONDS = 0.035  # that ``_probe`` takes on that machine, beside other work
_NEW = 0.5  # weight of the last job against those before it (our choice)
_FEWEST = 20  # frames below which a job says little about the speed (our choice)


def announce(progress: Progress, clip: SourceClip, speech_seconds: float, job: GenerateJob) -> None:
    """Say in one line what will be done, and about how long it will take."""
    frames, info = expected_output(clip, speech_seconds, job.fit), clip.info
    size = f"{info.width}x{info.height}"
    what = f"{printable(clip.path)} ({size}), {speech_seconds:.1f} s of speech"
    if frames is None:
        tell(progress, f"{what}; the file does not say how many frames it has")
        return
    seconds, known = forecast_seconds(frames, info.width * info.height, job)
    basis = "judged by earlier jobs" if known else "a first guess"
    tell(progress, f"{what}: {plural(frames, 'frame')}, about {duration(seconds)} on this machine ({basis})")


def expected_output(clip: SourceClip, speech_seconds: float, fit: str) -> int | None:
    """Return about how many frames the output will have; None where the source does not say how many it has."""
    if (frames := clip.expected_frames) is None:
        return None
    spoken = max(1, math.ceil(speech_seconds * clip.info.fps - 1e-6))
    return {"cut": min(frames, spoken), "silence": frames}.get(fit, max(frames, spoken))


def forecast_seconds(frames: int, pixels: int, job: GenerateJob) -> tuple[float, bool]:
    """Return about how many seconds ``frames`` frames of ``pixels`` pixels take, and whether an earlier job told."""
    records = _records()
    known = records.get(_key(pixels, job))
    if known is not None:
        return records.get("start", _START) + frames * known, True
    guess = _START + frames * _FIRST_GUESS * (pixels / 512**2) ** _PIXELS_GUESS
    return guess * _slowness(), False


def remember_speed(clip: SourceClip, job: GenerateJob, result: GenerateResult) -> None:
    """Keep how long a frame took; where the cache cannot be written, nothing is kept."""
    made = result.frames - result.resumed
    if made < _FEWEST:
        return
    records, key = _records(), _key(clip.info.width * clip.info.height, job)
    if "start" not in records:
        records["start"] = round(_START * _slowness(), 2)
    took = (result.seconds - min(records["start"], result.seconds / 2)) / made
    records[key] = round(_NEW * took + (1 - _NEW) * records.get(key, took), 5)
    path = _path()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
        temporary.replace(path)
    except OSError:
        pass


def duration(seconds: float) -> str:
    """Return a length of time in words, such as ``40 s`` or ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _records() -> dict[str, float]:
    try:
        found = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float)} if isinstance(found, dict) else {}


def _key(pixels: int, job: GenerateJob) -> str:
    """What decides the speed: pictures of up to twice as many pixels count alike."""
    model = Path(job.model).name if isinstance(job.model, str | PathLike) else job.model.config.name
    ways = [name for name in ("interpolate", "lossless") if getattr(job, name)]
    ways += [name for name, usual in (("detail", True), ("occlusion", "auto")) if getattr(job, name) != usual]
    steps = [] if job.steps is None else [f"{job.steps} steps"]
    return ", ".join([model, job.device, f"2^{round(math.log2(pixels))} pixels", *steps, *ways])


def _path() -> Path:
    return cache_folder() / "speed.json"


def _slowness() -> float:
    """How many times as long as our own machine this one takes for a small piece of such work."""
    return _probe() / _PROBE_SECONDS


def _probe() -> float:
    """Seconds of a small piece of such work: filters over a picture (torch would take a second to load)."""
    picture = np.zeros((512, 512, 3), np.float32)
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        cv2.GaussianBlur(picture, (0, 0), 5)
        times.append(time.perf_counter() - begun)
    return min(times)
