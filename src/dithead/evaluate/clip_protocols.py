"""Draws one clip by every protocol of an evaluation, and measures the videos and the baselines.

A row is one set of videos that is measured, such as those of the model at one number of steps, see ``report``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError, DitheadError
from dithead.evaluate import baselines, previews
from dithead.evaluate import clip_measures as measure
from dithead.evaluate.baselines import AS_DRAWN, COPY, FROZEN, TRUTH
from dithead.evaluate.evaluation_clips import fit_length
from dithead.evaluate.lip_series import Measures, compare_cross
from dithead.evaluate.mask_leak import mask_leak
from dithead.evaluate.observe_video import Observation, observe, observe_kept
from dithead.evaluate.options import UNTAUGHT
from dithead.evaluate.plan import EvaluationPlan
from dithead.evaluate.portrait import measure_untaught, write_portrait
from dithead.evaluate.report import DRIVEN_BY, ClipRecord, write_json
from dithead.evaluate.source_files import noted_sources
from dithead.inference import pipeline
from dithead.inference.result import Drawings
from dithead.media.audio import read_audio, write_audio
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.options import GenerateJob
from dithead.types import Wave


def model_row(steps: int) -> str:
    """Return the name of the row of the model's videos with so many sampling steps."""
    return f"ours_{steps}_steps"


def all_failed(plan: EvaluationPlan, reason: str) -> dict[str, str]:
    """Return the errors of a clip, by row, of which nothing could be measured."""
    drawn = [AS_DRAWN] if plan.options.as_drawn else []
    return dict.fromkeys((*plan.baselines, *map(model_row, plan.steps), *drawn), reason)


@dataclass(frozen=True)
class _ClipTask:
    """What is needed to measure one clip: the plan, the clip's name, its video as observed, and its record."""

    plan: EvaluationPlan
    clip: str
    source: Observation
    record: ClipRecord

    def driving_audio(self, protocol: str) -> Wave:
        """The sound (n,) that drives the clip, exactly as long as its picture."""
        if protocol == "silent":
            return fit_length(np.zeros(0, np.float32), self.source.duration, SAMPLE_RATE)
        speaker = self.driving_clip() if protocol == "cross" else self.clip
        return fit_length(read_audio(self.plan.videos[speaker], SAMPLE_RATE), self.source.duration, SAMPLE_RATE)

    def driving_clip(self) -> str:
        """The name of the clip whose speech drives this one in the protocol ``cross``."""
        if self.clip not in self.plan.drivers:
            raise DataError("no other clip has sound, so that none drives this one in the protocol cross")
        return self.plan.drivers[self.clip]

    def driver(self) -> Observation:
        """The video whose speech drives the clip in the protocol ``cross``."""
        return observe_kept(self.plan.videos[self.driving_clip()])

    def tell(self, what: str) -> None:
        """Say what is done with the clip now."""
        if self.plan.watch is not None:
            self.plan.watch(f"{self.clip}: {what}")

    def attempt(self, rows: Iterable[str], work: Callable[[], Any]) -> Any:
        """Do one piece of work; an error is recorded for its rows, and the rest of the clip is still measured."""
        try:
            return work()
        except DitheadError as error:
            for row in rows:
                self.record.errors[row] = "; ".join(filter(None, [self.record.errors.get(row), str(error)]))
            return None


def measure_clip(plan: EvaluationPlan, clip: str) -> ClipRecord:
    """Make and measure all videos of one clip."""
    start, record = time.monotonic(), ClipRecord(clip)
    try:
        source = observe_kept(plan.videos[clip])
    except DitheadError as error:
        record.errors = all_failed(plan, str(error))
        return record
    task = _ClipTask(plan, clip, source, record)
    record.curves["source"] = list(source.lips.openings)
    if plan.baselines and not _reuse_baselines(task):
        task.tell("truth and baselines")
        _measure_baselines(task)
    stills = {"source": source.crops} | _measure_model(task)
    if "mask" in plan.options.protocols:
        task.tell("test of the mask")
        row = model_row(plan.steps[0])
        task.attempt([row], lambda: record.add(row, "mask", _measure_mask_leak(task)))
    previews.save_jpeg(plan.output / "stills" / f"{clip}.jpg", previews.still_sheet(stills))
    record.seconds = time.monotonic() - start
    return record


def _measure_model(task: _ClipTask) -> dict[str, previews.Crops]:
    """Generate and measure the clip at every number of steps; return the headline's crops for the stills."""
    stills = {}
    drawn = [_Drawing(AS_DRAWN, task.plan.steps[0], detail=False)] if task.plan.options.as_drawn else []
    for drawing in (*(_Drawing(model_row(steps), steps) for steps in task.plan.steps), *drawn):
        for protocol in (name for name in DRIVEN_BY if name in task.plan.options.protocols):
            if protocol in UNTAUGHT and not drawing.detail:
                continue  # there nothing can be lent anyway
            generated = task.attempt([drawing.row], partial(_measure_generated, task, drawing, protocol))
            if generated is None or drawing.steps != task.plan.steps[0]:
                continue
            observed, drawings = generated
            if drawing.detail:
                stills[f"{DRIVEN_BY[protocol]}: {drawings.summary()}"] = observed.crops
                _write_preview(task, protocol, observed)
            elif protocol == "self":
                stills[f"{DRIVEN_BY[protocol]}, as drawn"] = observed.crops
    return stills


@dataclass(frozen=True)
class _Drawing:
    """One way in which the model draws: its row of the report, its steps, and whether detail is transferred."""

    row: str
    steps: int
    detail: bool = True


def _reuse_baselines(task: _ClipTask) -> bool:
    """Copy the rows that need no model from an earlier report; return whether it has them all."""
    record, earlier = task.record, task.plan.options.baselines
    if earlier is None or not (path := Path(earlier) / "clips" / f"{task.clip}.json").exists():
        return False
    files = noted_sources(Path(earlier)).get(task.clip)
    if files is not None and files != noted_sources(task.plan.output).get(task.clip):
        return False  # it was measured on another video of this name
    old, rows = ClipRecord.load(path), task.plan.baselines
    if set(rows) & set(old.errors) or not set(rows) <= set(old.rows):
        return False
    record.rows |= {row: old.rows[row] for row in rows}
    record.features |= {row: old.features[row] for row in rows if row in old.features}
    record.curves |= {curve: old.curves[curve] for curve in ("driver", "frozen") if curve in old.curves}
    return True


def _measure_baselines(task: _ClipTask) -> None:
    """Measure the truth, the copied input and the frozen mouth by every protocol that has them.

    An error is recorded for all of their rows: where one is missing, the others must not count as made.
    """
    rows = task.plan.baselines
    videos = task.attempt(rows, lambda: (_observe_copy(task.plan, task.clip), _observe_frozen(task)))
    if videos is None:
        return
    task.record.curves["frozen"] = list(videos[1].lips.openings)
    for protocol, work in (("self", _baselines_self), ("silent", _baselines_silent), ("cross", _baselines_cross)):
        if protocol in task.plan.options.protocols:
            task.attempt(rows, partial(work, task, *videos))


def _baselines_self(task: _ClipTask, copied: Observation, frozen: Observation) -> None:
    """Measure the baselines in self-reenactment, where the truth is the copy."""
    record = task.record
    for row, video in ((TRUTH, copied), (FROZEN, frozen)):
        _measure_self(task, row, video)
    record.rows[COPY] = dict(record.rows[TRUTH])
    if TRUTH in record.features:
        record.features[COPY] = record.features[TRUTH]


def _baselines_silent(task: _ClipTask, copied: Observation, frozen: Observation) -> None:
    for row, video in ((COPY, copied), (FROZEN, frozen)):
        task.record.add(row, "silent", measure.measure_silent(video, task.source))


def _baselines_cross(task: _ClipTask, copied: Observation, frozen: Observation) -> None:
    """Measure the baselines with another clip's speech, where the truth is the copy of that clip."""
    record, source, networks, driver = task.record, task.source, task.plan.networks, task.driver()
    record.curves["driver"] = driver.openings_at(source.times)
    truth = _observe_copy(task.plan, task.driving_clip())
    driver_sync = networks.sync(truth)
    record.add(TRUTH, "cross", compare_cross(truth.lips, driver.lips, source.lips) | driver_sync)
    for row, video in ((COPY, copied), (FROZEN, frozen)):
        record.add(row, "cross", measure.measure_cross(video, source, driver, driver_sync=driver_sync))
        record.add(row, "cross", networks.sync(video, task.driving_audio("cross")))


def _measure_generated(task: _ClipTask, drawing: _Drawing, protocol: str) -> tuple[Observation, Drawings]:
    """Generate the clip by one protocol, unless it is there, and measure it."""
    record, source, row = task.record, task.source, drawing.row
    path, audio = task.plan.video(row, task.clip, protocol), task.driving_audio(protocol)
    made = _generate(task, path, audio, drawing, protocol)
    drawings = Drawings(**made["drawings"])
    record.add(row, protocol, {"frames_per_second": made["frames_per_second"]})
    record.add(row, protocol, drawings.shares())
    generated = observe(path, None if protocol in UNTAUGHT else source)
    record.curves[f"{row}/{protocol}"] = generated.openings_at(source.times)
    truth = record.rows.get(TRUTH, {})
    if protocol == "self":
        _measure_self(task, row, generated)
        record.add(row, protocol, measure.measure_synced(generated, source, truth))
    elif protocol == "cross":
        driver_sync = {key.removeprefix("cross_"): value for key, value in truth.items() if key.startswith("cross_")}
        record.add(row, protocol, measure.measure_cross(generated, source, task.driver(), audio, driver_sync))
        record.add(row, protocol, task.plan.networks.sync(generated))
    elif protocol in UNTAUGHT:
        record.add(row, protocol, measure_untaught(generated, source, audio))
        record.add(row, protocol, task.plan.networks.sync(generated))
    else:
        record.add(row, protocol, measure.measure_silent(generated, source))
    return generated, drawings


def _measure_self(task: _ClipTask, row: str, video: Observation) -> None:
    """Take the measures of self-reenactment of one row, and what FID needs of it."""
    networks = task.plan.networks
    speech = task.driving_audio("self") if task.source.info.has_audio else None
    pictures = measure.measure_self(video, task.source, speech, networks)
    task.record.add(row, "self", pictures | networks.sync(video))
    if features := networks.fid_features(*measure.pair_crops(video, task.source)):
        task.record.features[row] = features


def _measure_mask_leak(task: _ClipTask) -> Measures:
    plan = task.plan
    return mask_leak(task.source, task.driving_audio("self"), plan.loaded_model, plan.steps[0], plan.options.seed)


def _generate(task: _ClipTask, path: Path, audio: Wave, drawing: _Drawing, protocol: str) -> dict[str, Any]:
    """Generate a video unless it is there with its result beside it; return the result as JSON values."""
    plan, kept = task.plan, path.with_suffix(".json")
    if path.exists() and kept.exists():
        return dict(json.loads(kept.read_text("utf-8")))
    task.tell(f"drawing with {DRIVEN_BY[protocol]}" + ("" if drawing.detail else ", as drawn"))
    sound = plan.output / "videos" / "audio" / protocol / f"{task.clip}.wav"
    sound.parent.mkdir(parents=True, exist_ok=True)
    write_audio(sound, audio, SAMPLE_RATE)
    video = plan.videos[task.clip]
    if protocol == "portrait":
        video = write_portrait(task.source, plan.output / "videos" / "portraits" / f"{task.clip}.png")
    job = GenerateJob(
        video, sound, path, model=plan.loaded_model, steps=drawing.steps, seed=plan.options.seed, fit="silence",
        detail=drawing.detail,
    )  # fmt: skip
    with pipeline.generated(job, hide_talking=protocol == "hidden") as result:
        facts: dict[str, Any] = json.loads(result.to_json())
        write_json(kept, facts)
    return facts


def _observe_copy(plan: EvaluationPlan, clip: str) -> Observation:
    """The clip encoded again with its own sound; it is written first, unless it is there."""
    path, source = plan.video(COPY, clip), observe_kept(plan.videos[clip])
    if not path.exists():
        baselines.write_copy(source, path, baselines.sound_of(source, source.duration))
    return observe_kept(path, plan.videos[clip])


def _observe_frozen(task: _ClipTask) -> Observation:
    """The clip with a frozen mouth; it is written first, unless it is there."""
    path = task.plan.video(FROZEN, task.clip)
    if not path.exists():
        baselines.write_frozen(task.source, path, baselines.sound_of(task.source, task.source.duration))
    return observe(path, task.source)


def _write_preview(task: _ClipTask, protocol: str, generated: Observation) -> None:
    """Write source and output side by side; there is none for silence."""
    path = task.plan.output / "previews" / f"{task.clip}_{protocol}.mp4"
    if not path.exists() and protocol != "silent":
        audio = (task.driving_audio(protocol), SAMPLE_RATE)
        made = generated.crops[generated.nearest(task.source.times)]
        previews.side_by_side(path, [task.source.crops, made], task.source.info.fps, audio)
