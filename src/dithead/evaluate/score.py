"""Score any tool's videos against the truth, matched by name without suffix."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dithead.errors import DataError, DitheadError
from dithead.evaluate import clip_measures as measure
from dithead.evaluate import previews
from dithead.evaluate.experts import Experts
from dithead.evaluate.observe_video import Observation, observe, same_shape
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import claim, write_reports
from dithead.evaluate.test_clips import fitted, videos_in
from dithead.media.audio import read_audio

GENERATED = "generated"
_LENGTH = 0.1  # seconds by which a video may be longer or shorter before it is told


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
        raise DataError(
            f"{generated}: no video is named like one in {truth}; match them by name without suffix"
            f" ({_example(made, true)})"
        )
    experts = Experts(weights)
    settings: dict[str, Any] = {
        "generated": str(generated),
        "truth": str(truth),
        "drivers": drivers and str(drivers),
        "weights": {name: str(path) for name, path in experts.weights.items()},
    }
    claim(Path(output), settings)
    records = [_scored(name, made.get(name), path, speakers, experts, Path(output)) for name, path in true.items()]
    label = Path(generated).resolve().name
    report = build_report(
        records, {GENERATED: label}, GENERATED, settings, experts.missing(), _left_out(made, true, Path(generated))
    )
    write_reports(Path(output), report, records)
    return report


def _example(made: Mapping[str, Path], true: Mapping[str, Path]) -> str:
    """What to rename, shown on one video."""
    for name, path in made.items():
        if near := _nearest(name, true):
            return f"{path.name} should be {near}{path.suffix}"
    return f"there are {', '.join(list(made)[:3])} and {', '.join(list(true)[:3])}"


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """The longest of ``names`` that is part of ``name``, or of which it is a part."""
    return max((n for n in names if n in name or name in n), key=len, default=None)


def _left_out(made: Mapping[str, Path], true: Mapping[str, Path], folder: Path) -> list[str]:
    """Videos without a truth of their name: told, so that nobody believes they were measured."""
    lost = [name for name in true if name not in made]
    notes = []
    for name, path in made.items():
        if name not in true:
            near = _nearest(name, lost)
            hint = f"; is it {near}? Then rename it" if near else ""
            notes.append(f"{folder.name}/{path.name}: left out, no truth is called {name!r}{hint}")
    return notes


def _odd(ours: Observation, source: Observation) -> list[str]:
    """What is odd about a video though it can be measured."""
    notes = []
    if not ours.info.has_audio:
        notes.append("the generated video has no sound; the truth's is taken for it where lips and sound are compared")
    if not source.info.has_audio:
        notes.append("the true video has no sound; whether the sound is in place is not measured")
    if abs(ours.duration - source.duration) > _LENGTH:
        notes.append(
            f"{ours.duration:.2f} s long where the truth has {source.duration:.2f} s; the part both have counts"
        )
    if ours.info.fps != source.info.fps:
        notes.append(f"{float(ours.info.fps):g} frames a second where the truth has {float(source.info.fps):g}")
    (h, w), (height, width) = ((v.info.height, v.info.width) for v in (ours, source))
    if not same_shape(ours.info, source.info):
        notes.append(
            f"{w} x {h} pixels, another shape than the truth's {width} x {height}: cut out or padded, so each face is"
            " aligned by itself, and PSNR, SSIM and sharpness are rough"
        )
    elif (h, w) != (height, width):
        notes.append(f"{w} x {h} pixels, scaled to the truth's {width} x {height}: sharpness is that of the scaled")
    return notes


def _scored(
    name: str, made: Path | None, truth: Path, speakers: dict[str, Path] | None, experts: Experts, output: Path
) -> ClipRecord:
    start, record = time.monotonic(), ClipRecord(name)
    try:
        if made is None:
            raise DataError("no generated video of this name")
        source = observe(truth)
        ours = observe(made, source)
        record.notes = _odd(ours, source)
        record.curves["source"] = list(source.lips.aperture)
        if speakers is None:
            _self(record, ours, source, experts)
        else:
            _cross(record, ours, source, speakers.get(name), experts)
        _show(output, name, ours, source, "self" if speakers is None else "cross")
    except DitheadError as error:
        record.errors[GENERATED] = str(error)
    record.seconds = time.monotonic() - start
    return record


def _show(output: Path, name: str, ours: Observation, source: Observation, protocol: str) -> None:
    """Stills of the same moments, and a short clip with the generated video's sound, or else the truth's."""
    truth = source.crops[source.nearest(ours.times)]
    sheet = previews.still_sheet({"truth": truth, "generated": ours.crops})
    previews.save_jpeg(output / "stills" / f"{name}.jpg", sheet)
    heard = next((video for video in (ours, source) if video.info.has_audio), None)
    sound = (
        None
        if heard is None
        else (fitted(read_audio(heard.path, measure.RATE), ours.duration, measure.RATE), measure.RATE)
    )
    previews.side_by_side(output / "previews" / f"{name}_{protocol}.mp4", [truth, ours.crops], ours.info.fps, sound)


def _self(record: ClipRecord, ours: Observation, source: Observation, experts: Experts) -> None:
    audio = None
    if source.info.has_audio:
        audio = fitted(read_audio(source.path, measure.RATE), source.duration, measure.RATE)
    record.curves[f"{GENERATED}/self"] = ours.aperture_at(source.times)
    sound = None if ours.info.has_audio else audio
    record.add(GENERATED, "self", measure.measure_self(ours, source, audio, experts) | experts.speech(ours, sound))
    record.add(GENERATED, "self", measure.measure_in_sync(ours, source, experts.speech(source)))
    if features := experts.features(*measure.paired(ours, source)):
        record.features[GENERATED] = features


def _cross(record: ClipRecord, ours: Observation, source: Observation, speaker: Path | None, experts: Experts) -> None:
    if speaker is None:
        raise DataError("no driver's video of this name")
    driver = observe(speaker)
    record.curves["driver"] = driver.aperture_at(source.times)
    record.curves[f"{GENERATED}/cross"] = ours.aperture_at(source.times)
    record.add(
        GENERATED,
        "cross",
        measure.measure_cross(ours, source, driver, spoken=experts.speech(driver)) | experts.speech(ours),
    )
