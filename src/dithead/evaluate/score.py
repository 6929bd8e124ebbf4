"""Score any tool's videos against the truth, matched by name without suffix."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dithead.errors import DataError, DitheadError
from dithead.evaluate import measure, previews
from dithead.evaluate.corpus import fitted, videos_in
from dithead.evaluate.experts import Experts
from dithead.evaluate.folder import claim, write_reports
from dithead.evaluate.observe import Observation, observe
from dithead.evaluate.report import ClipRecord, build_report
from dithead.media.audio import read_audio

GENERATED = "generated"


def score_folders(
    generated: Path | str,
    truth: Path | str,
    output: Path | str,
    *,
    drivers: Path | str | None = None,
    weights: Mapping[str, Path | str] | None = None,
) -> dict[str, Any]:
    """Measure every truth's counterpart in ``generated``; write the report to ``output`` and return it.

    drivers: for videos driven by other audio, the folder with that audio's own videos under the same names;
    the cross-audio measures are then taken instead. A truth without a counterpart counts as failed.
    Raises DataError when no name matches.
    """
    made, true = videos_in(generated), videos_in(truth)
    speakers = None if drivers is None else videos_in(drivers)
    if not set(made) & set(true):
        raise DataError(f"{generated}: no video is named like one in {truth}; match them by name without suffix")
    experts = Experts(weights)
    settings = {"generated": str(generated), "truth": str(truth), "drivers": drivers and str(drivers)}
    claim(Path(output), settings)
    records = [_scored(name, made.get(name), path, speakers, experts, Path(output)) for name, path in true.items()]
    report = build_report(records, {GENERATED: str(generated)}, GENERATED, settings, experts.missing())
    write_reports(Path(output), report, records)
    return report


def _scored(
    name: str, made: Path | None, truth: Path, speakers: dict[str, Path] | None, experts: Experts, output: Path
) -> ClipRecord:
    start, record = time.monotonic(), ClipRecord(name)
    try:
        if made is None:
            raise DataError("no generated video of this name")
        source = observe(truth)
        ours = observe(made, source)
        record.curves["source"] = list(source.lips.aperture)
        if speakers is None:
            _self(record, ours, source, experts)
        else:
            _cross(record, ours, source, speakers.get(name), experts)
        sheet = previews.still_sheet({"truth": source.crops, "generated": ours.crops})
        previews.save_jpeg(output / "stills" / f"{name}.jpg", sheet)
    except DitheadError as error:
        record.errors[GENERATED] = str(error)
    record.seconds = time.monotonic() - start
    return record


def _self(record: ClipRecord, ours: Observation, source: Observation, experts: Experts) -> None:
    audio = None
    if source.info.has_audio:
        audio = fitted(read_audio(source.path, measure.RATE), source.duration, measure.RATE)
    record.curves[f"{GENERATED}/self"] = list(ours.lips.aperture)
    sound = None if ours.info.has_audio else audio
    record.add(GENERATED, "self", measure.measure_self(ours, source, audio, experts) | experts.speech(ours, sound))
    if features := experts.features(*measure.paired(ours, source)):
        record.features[GENERATED] = features


def _cross(record: ClipRecord, ours: Observation, source: Observation, speaker: Path | None, experts: Experts) -> None:
    if speaker is None:
        raise DataError("no driver's video of this name")
    driver = observe(speaker)
    record.curves["driver"] = list(driver.lips.aperture)
    record.curves[f"{GENERATED}/cross"] = list(ours.lips.aperture)
    record.add(GENERATED, "cross", measure.measure_cross(ours, source, driver) | experts.speech(ours))
