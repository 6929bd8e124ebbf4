"""Run a model over a folder of videos by three protocols and a leak test, and measure what comes out.

Everything lies in the report's folder and is made once: the same command again goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dithead.engine import Engine, map_tasks
from dithead.errors import DitheadError
from dithead.evaluate import baselines as rows
from dithead.evaluate import clip_measures as measure
from dithead.evaluate import previews
from dithead.evaluate.leaks import mask_leak
from dithead.evaluate.lip_series import Measures, compare_cross
from dithead.evaluate.observe_video import Observation, observe
from dithead.evaluate.plan import PROTOCOLS, Plan, make_plan
from dithead.evaluate.report import DRIVEN_BY, ClipRecord, build_report
from dithead.evaluate.report_folder import write_reports
from dithead.evaluate.test_clips import fitted
from dithead.inference.pipeline import generate
from dithead.inference.result import GenerateResult
from dithead.media.audio import read_audio, write_audio
from dithead.types import Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

Say = Callable[[str], None]


def evaluate_model(
    model: str | Path | TalkingHead,
    data_dir: Path | str,
    output: Path | str,
    *,
    steps: Sequence[int] | None = None,
    protocols: Sequence[str] = PROTOCOLS,
    seed: int = 0,
    device: str = "auto",
    weights: Mapping[str, Path | str] | None = None,
    baselines: Path | str | None = None,
    engine: Engine = "local",
    workers: int = 1,
    say: Say | None = None,
) -> dict[str, Any]:
    """Score ``model`` on every video of ``data_dir``; write report.json, .md and .html to ``output``.

    ``data_dir`` is a folder of videos or a prepared dataset, of which the held-out people are taken.
    The first of ``steps`` is the headline; the model's own number when None.
    weights: networks for LPIPS, FID, identity and the original SyncNet (see ``experts``).
    baselines: an earlier report over the same clips, whose rows that no model touches are taken over.
    Cross-audio drives each clip by the next one's sound, by name.
    engine: ``local`` or ``ray``, with so many ``workers`` at once, a clip each; a cluster must share ``output``.
    Raises ConfigError, DataError or OutputError for the request; a clip that fails is listed and counted.
    """
    plan = make_plan(model, Path(data_dir), Path(output), steps, protocols, seed, device, weights, baselines)
    records = _all_recorded(plan, engine, workers, say)
    labels = dict(rows.LABELS) | {ours(n): f"{plan.name}, {n} step{'s' * (n != 1)}" for n in plan.steps}
    report = build_report(records, labels, ours(plan.steps[0]), plan.settings, plan.experts.missing())
    write_reports(plan.output, report, records)
    return report


def ours(steps: int) -> str:
    """The name of our row at a step count."""
    return f"ours_{steps}_steps"


def _all_recorded(plan: Plan, engine: Engine, workers: int, say: Say | None) -> list[ClipRecord]:
    """Every clip's record in the order of the plan; one whose worker died is a record of that error."""
    names = list(plan.videos)
    records: dict[str, ClipRecord] = {}
    work = partial(_recorded, plan if (engine, workers) == ("local", 1) else plan.absolute())
    for done, (index, result) in enumerate(map_tasks(work, names, engine=engine, workers=workers), 1):
        name = names[index]
        if isinstance(result, DitheadError):
            result = ClipRecord(name, errors=_failed(plan, str(result)))
        elif isinstance(result, Exception):
            raise result
        records[name] = result
        if say is not None:
            say(f"{done}/{len(names)} {name}: {result.seconds:.0f} s")
    return [records[name] for name in names]


def _failed(plan: Plan, reason: str) -> dict[str, str]:
    return dict.fromkeys((*rows.LABELS, *map(ours, plan.steps)), reason)


def _recorded(plan: Plan, name: str) -> ClipRecord:
    """The clip's record: read back when it is there and whole, measured otherwise."""
    path = plan.output / "clips" / f"{name}.json"
    if path.exists():
        record = ClipRecord.load(path)
        if not record.errors:
            return record
    record = _measured(plan, name)
    record.save(path)
    return record


def _measured(plan: Plan, name: str) -> ClipRecord:
    start, record = time.monotonic(), ClipRecord(name)
    try:
        source = _source(plan.videos[name])
    except DitheadError as error:
        record.errors = _failed(plan, str(error))
        return record
    record.curves["source"] = list(source.lips.aperture)
    sheet = {"source": source.crops}
    if not _taken_over(plan, name, record):
        _try(record, rows.TRUTH, partial(_baselines, plan, name, source, record))
    for steps in plan.steps:
        for protocol in DRIVEN_BY:
            if protocol not in plan.protocols:
                continue
            made = _try(record, ours(steps), partial(_ours, plan, name, source, steps, protocol, record))
            if made is not None and steps == plan.steps[0]:
                sheet[DRIVEN_BY[protocol]] = made.crops
                _preview(plan, name, protocol, source, made)
    if "mask" in plan.protocols:
        row = ours(plan.steps[0])
        _try(record, row, lambda: record.add(row, "mask", _mask_leak(plan, name, source)))
    previews.save_jpeg(plan.output / "stills" / f"{name}.jpg", previews.still_sheet(sheet))
    record.seconds = time.monotonic() - start
    return record


def _taken_over(plan: Plan, name: str, record: ClipRecord) -> bool:
    """Take the rows that no model touches from an earlier report, where it has them all."""
    path = None if plan.baselines is None else plan.baselines / "clips" / f"{name}.json"
    if path is None or not path.exists():
        return False
    old = ClipRecord.load(path)
    if set(rows.LABELS) & set(old.errors) or not set(rows.LABELS) <= set(old.rows):
        return False
    record.rows |= {row: old.rows[row] for row in rows.LABELS}
    record.features |= {row: old.features[row] for row in rows.LABELS if row in old.features}
    record.curves |= {curve: old.curves[curve] for curve in ("driver", "frozen") if curve in old.curves}
    return True


def _baselines(plan: Plan, name: str, source: Observation, record: ClipRecord) -> None:
    """The truth, copy and frozen rows. In self-reenactment the truth is the copy."""
    copied = _copied(plan, name)
    frozen_path = plan.video(rows.FROZEN, name)
    audio = _given(plan, name, "self", source)
    if not frozen_path.exists():
        rows.write_frozen(source, frozen_path, audio)
    frozen = observe(frozen_path, source)
    record.curves["frozen"] = list(frozen.lips.aperture)
    for row, video in ((rows.TRUTH, copied), (rows.FROZEN, frozen)):
        _own(plan, record, row, video, source, audio)
    record.rows[rows.COPY] = dict(record.rows[rows.TRUTH])
    if rows.TRUTH in record.features:
        record.features[rows.COPY] = record.features[rows.TRUTH]
    beside = ((rows.COPY, copied), (rows.FROZEN, frozen))
    if "silent" in plan.protocols:
        for row, video in beside:
            record.add(row, "silent", measure.measure_silent(video, source))
    if "cross" in plan.protocols:
        driver = _source(plan.videos[plan.drivers[name]])
        record.curves["driver"] = driver.aperture_at(source.times)
        for row, video in beside:
            record.add(row, "cross", measure.measure_cross(video, source, driver))
            record.add(row, "cross", plan.experts.speech(video, _given(plan, name, "cross", source)))
        truth = _copied(plan, plan.drivers[name])
        record.add(rows.TRUTH, "cross", compare_cross(truth.lips, driver.lips, source.lips))
        record.add(rows.TRUTH, "cross", plan.experts.speech(truth))


def _ours(plan: Plan, name: str, source: Observation, steps: int, protocol: str, record: ClipRecord) -> Observation:
    row = ours(steps)
    path, audio = plan.video(row, name, protocol), _given(plan, name, protocol, source)
    if not path.exists():
        result = _generate(plan, name, path, audio, steps, protocol)
        record.add(row, protocol, {"frames_per_second": result.frames_per_second})
    made = observe(path, source)
    record.curves[f"{row}/{protocol}"] = list(made.lips.aperture)
    if protocol == "self":
        _own(plan, record, row, made, source, audio)
        record.add(row, protocol, measure.measure_in_sync(made, source, record.rows.get(rows.TRUTH, {})))
    elif protocol == "cross":
        driver = _source(plan.videos[plan.drivers[name]])
        truth = record.rows.get(rows.TRUTH, {})
        spoken = {key.removeprefix("cross_"): value for key, value in truth.items() if key.startswith("cross_")}
        record.add(row, protocol, measure.measure_cross(made, source, driver, audio, spoken))
        record.add(row, protocol, plan.experts.speech(made))
    else:
        record.add(row, protocol, measure.measure_silent(made, source))
    return made


def _mask_leak(plan: Plan, name: str, source: Observation) -> Measures:
    return mask_leak(source, _given(plan, name, "self", source), plan.talker, plan.steps[0], plan.seed)


def _own(plan: Plan, record: ClipRecord, row: str, video: Observation, source: Observation, audio: Wave) -> None:
    """The self-reenactment measures of one row, and what FID needs of it."""
    record.add(row, "self", measure.measure_self(video, source, audio, plan.experts) | plan.experts.speech(video))
    if features := plan.experts.features(*measure.paired(video, source)):
        record.features[row] = features


def _generate(plan: Plan, name: str, path: Path, audio: Wave, steps: int, protocol: str) -> GenerateResult:
    sound = plan.output / "videos" / "audio" / protocol / f"{name}.wav"
    sound.parent.mkdir(parents=True, exist_ok=True)
    write_audio(sound, audio, measure.RATE)
    return generate(plan.videos[name], sound, path, model=plan.talker, steps=steps, seed=plan.seed)


def _given(plan: Plan, name: str, protocol: str, source: Observation) -> Wave:
    """The sound a clip is driven by (n,), exactly as long as its picture."""
    if protocol == "silent":
        return fitted(np.zeros(0, np.float32), source.duration, measure.RATE)
    speaker = plan.drivers[name] if protocol == "cross" else name
    return fitted(read_audio(plan.videos[speaker], measure.RATE), source.duration, measure.RATE)


@lru_cache(maxsize=3)
def _source(path: Path) -> Observation:
    return observe(path)


def _copied(plan: Plan, name: str) -> Observation:
    path = plan.video(rows.COPY, name)
    source = _source(plan.videos[name])
    if not path.exists():
        rows.write_copy(source, path, _given(plan, name, "self", source))
    return _encoded(path, plan.videos[name])


@lru_cache(maxsize=3)
def _encoded(path: Path, source: Path) -> Observation:
    return observe(path, _source(source))


def _preview(plan: Plan, name: str, protocol: str, source: Observation, made: Observation) -> None:
    path = plan.output / "previews" / f"{name}_{protocol}.mp4"
    if not path.exists() and protocol != "silent":
        audio = _given(plan, name, protocol, source)
        previews.side_by_side(path, [source.crops, made.crops], source.info.fps, (audio, measure.RATE))


def _try(record: ClipRecord, row: str, work: Callable[[], Any]) -> Any:
    """Run one piece of work; what fails is written down, and the rest of the clip is still measured."""
    try:
        return work()
    except DitheadError as error:
        record.errors[row] = "; ".join(filter(None, [record.errors.get(row), str(error)]))
        return None
