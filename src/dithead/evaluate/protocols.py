"""Run a model over a folder of videos by three protocols, and measure what comes out.

Everything lies in the report's folder and is made once: the same command again goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dithead.checkpoint import load_model
from dithead.errors import ConfigError, DitheadError
from dithead.evaluate import measure, previews, rows
from dithead.evaluate.corpus import drivers_of, fitted, videos_in
from dithead.evaluate.experts import missing_metrics
from dithead.evaluate.folder import claim, fingerprint, write_reports
from dithead.evaluate.lips import compare_cross
from dithead.evaluate.observe import Observation, observe
from dithead.evaluate.report import ClipRecord, build_report
from dithead.generate.pipeline import generate, pick_device
from dithead.generate.result import GenerateResult
from dithead.media.audio import read_audio, write_audio
from dithead.types import Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

PROTOCOLS = ("self", "cross", "silent")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """One evaluation: what runs, on what, and where it goes."""

    name: str
    talker: TalkingHead
    videos: dict[str, Path]
    drivers: dict[str, str]
    output: Path
    steps: tuple[int, ...]
    protocols: tuple[str, ...]
    seed: int

    def video(self, row: str, name: str, protocol: str = "self") -> Path:
        path = self.output / "videos" / row / protocol / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def evaluate_model(
    model: str | Path | TalkingHead,
    data_dir: Path | str,
    output: Path | str,
    *,
    steps: Sequence[int] = (4,),
    protocols: Sequence[str] = PROTOCOLS,
    seed: int = 0,
    device: str = "auto",
    say: Say | None = None,
) -> dict[str, Any]:
    """Score ``model`` on every video of ``data_dir``; write report.json, .md and .html to ``output``.

    The first of ``steps`` is the headline. Cross-audio drives each clip by the next one's sound, by name.
    Raises ConfigError, DataError or OutputError for the request; a clip that fails is listed and counted.
    """
    videos = videos_in(data_dir)
    plan = _plan(model, videos, Path(output), tuple(steps), tuple(protocols), seed, device)
    settings = {
        "model": plan.name,
        "model_sha256": fingerprint(plan.talker),
        "data": str(data_dir),
        "steps": list(plan.steps),
        "protocols": list(plan.protocols),
        "seed": seed,
        "device": device,
    }
    claim(plan.output, settings)
    records = []
    for i, name in enumerate(videos, 1):
        records.append(_recorded(plan, name))
        if say is not None:
            say(f"{i}/{len(videos)} {name}: {records[-1].seconds:.0f} s")
    labels = dict(rows.LABELS) | {ours(n): f"{plan.name}, {n} step{'s' * (n != 1)}" for n in plan.steps}
    report = build_report(records, labels, ours(plan.steps[0]), settings, missing_metrics())
    write_reports(plan.output, report, records)
    return report


def ours(steps: int) -> str:
    """The name of our row at a step count."""
    return f"ours_{steps}_steps"


def _plan(
    model: str | Path | TalkingHead,
    videos: dict[str, Path],
    output: Path,
    steps: tuple[int, ...],
    protocols: tuple[str, ...],
    seed: int,
    device: str,
) -> Plan:
    unknown = sorted(set(protocols) - set(PROTOCOLS))
    if unknown or not protocols:
        raise ConfigError(f"unknown protocol {unknown}; choose from {', '.join(PROTOCOLS)}")
    if not steps or min(steps) < 1:
        raise ConfigError(f"steps are {steps}; give one positive number or more")
    drivers = drivers_of(list(videos)) if "cross" in protocols else {}
    talker = load_model(model, device=pick_device(device)) if isinstance(model, str | Path) else model
    name = str(model) if isinstance(model, str | Path) else talker.config.name
    return Plan(name, talker, videos, drivers, output, steps, protocols, seed)


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
        record.errors = {row: str(error) for row in (*rows.LABELS, *map(ours, plan.steps))}
        return record
    record.curves["source"] = list(source.lips.aperture)
    sheet = {"source": source.crops}
    _try(record, rows.TRUTH, partial(_baselines, plan, name, source, record))
    for steps in plan.steps:
        for protocol in plan.protocols:
            made = _try(record, ours(steps), partial(_ours, plan, name, source, steps, protocol, record))
            if made is not None and steps == plan.steps[0]:
                sheet[protocol] = made.crops
                _preview(plan, name, protocol, source, made)
    previews.save_jpeg(plan.output / "stills" / f"{name}.jpg", previews.still_sheet(sheet))
    record.seconds = time.monotonic() - start
    return record


def _baselines(plan: Plan, name: str, source: Observation, record: ClipRecord) -> None:
    """The truth, copy and frozen rows. In self-reenactment the truth is the copy."""
    copied = _copied(plan, name)
    frozen_path = plan.video(rows.FROZEN, name)
    audio = _given(plan, name, "self", source)
    if not frozen_path.exists():
        rows.write_frozen(source, frozen_path, audio)
    frozen = observe(frozen_path, source)
    record.curves["frozen"] = list(frozen.lips.aperture)
    own = measure.measure_self(copied, source, audio)
    record.add(rows.TRUTH, "self", own)
    record.add(rows.COPY, "self", own)
    record.add(rows.FROZEN, "self", measure.measure_self(frozen, source, audio))
    beside = ((rows.COPY, copied), (rows.FROZEN, frozen))
    if "silent" in plan.protocols:
        for row, video in beside:
            record.add(row, "silent", measure.measure_silent(video, source))
    if "cross" in plan.protocols:
        driver = _source(plan.videos[plan.drivers[name]])
        record.curves["driver"] = list(driver.lips.aperture)
        for row, video in beside:
            record.add(row, "cross", measure.measure_cross(video, source, driver))
        truth = _copied(plan, plan.drivers[name])
        record.add(rows.TRUTH, "cross", compare_cross(truth.lips, driver.lips, source.lips))


def _ours(plan: Plan, name: str, source: Observation, steps: int, protocol: str, record: ClipRecord) -> Observation:
    row = ours(steps)
    path, audio = plan.video(row, name, protocol), _given(plan, name, protocol, source)
    if not path.exists():
        result = _generate(plan, name, path, audio, steps, protocol)
        record.add(row, protocol, {"frames_per_second": result.frames_per_second})
    made = observe(path, source)
    record.curves[f"{row}/{protocol}"] = list(made.lips.aperture)
    if protocol == "self":
        record.add(row, protocol, measure.measure_self(made, source, audio))
    elif protocol == "cross":
        driver = _source(plan.videos[plan.drivers[name]])
        record.add(row, protocol, measure.measure_cross(made, source, driver, audio))
    else:
        record.add(row, protocol, measure.measure_silent(made, source))
    return made


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
