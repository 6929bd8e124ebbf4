"""Measures videos that exist already, made by any tool, against the true videos, matched by name without suffix."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dithead.errors import DataError, DitheadError
from dithead.evaluate import clip_measures as measure
from dithead.evaluate import previews
from dithead.evaluate.evaluation_clips import fit_length, list_videos
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.observe_video import Observation, observe, same_aspect
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import claim_folder, write_reports
from dithead.media.audio import read_audio
from dithead.media.info import VideoInfo
from dithead.models.audio.mel import SAMPLE_RATE

GENERATED = "generated"
LENGTH_TOLERANCE = 0.1
"""Seconds by which a video may be longer or shorter than the true one without a note (our choice)."""


def score_folders(
    generated: Path | str,
    truth: Path | str,
    output: Path | str,
    *,
    drivers: Path | str | None = None,
    weights: Mapping[str, Path | str] | None = None,
) -> dict[str, Any]:
    """Measure every true video's counterpart in ``generated``, and write the report.

    Args:
        generated: Folder of the videos to measure.
        truth: Folder of the true videos. One without a counterpart counts as failed.
        output: Folder of the report.
        drivers: For videos that were driven by other speech, the folder with that speech's own videos under the same
            names; the measures of the cross-audio protocol are then taken.
        weights: Pretrained networks, see ``external_networks``.

    Returns:
        The content of report.json.

    Raises:
        DataError: No name matches.
    """
    made, true = list_videos(generated), list_videos(truth)
    driver_videos = None if drivers is None else list_videos(drivers)
    if not set(made) & set(true):
        raise DataError(
            f"{generated}: no video is named like one in {truth}; match them by name without suffix"
            f" ({_naming_hint(made, true)})"
        )
    networks = NetworkMeasures(weights)
    settings: dict[str, Any] = {
        "generated": str(generated),
        "truth": str(truth),
        "drivers": drivers and str(drivers),
        "weights": {name: str(path) for name, path in networks.weights.items()},
    }
    claim_folder(Path(output), settings)
    scoring = _Scoring(made, driver_videos, networks, Path(output))
    records = [scoring.score(name, path) for name, path in true.items()]
    label = Path(generated).resolve().name
    notes = _left_out(made, true, Path(generated))
    report = build_report(records, {GENERATED: label}, GENERATED, settings, networks.missing(), notes)
    write_reports(Path(output), report, records)
    return report


@dataclass(frozen=True)
class _Scoring:
    """What all clips of one scoring share: the videos to measure, those of the drivers, networks and the folder."""

    made: dict[str, Path]
    drivers: dict[str, Path] | None
    networks: NetworkMeasures
    output: Path

    def score(self, name: str, truth: Path) -> ClipRecord:
        """Measure one clip; an error is recorded."""
        start, record = time.monotonic(), ClipRecord(name)
        try:
            if name not in self.made:
                raise DataError("no generated video of this name")
            source = observe(truth)
            generated = observe(self.made[name], source)
            record.notes = _remarks(generated, source)
            record.curves["source"] = list(source.lips.openings)
            if self.drivers is None:
                self._score_self(record, generated, source)
            else:
                self._score_cross(record, generated, source, self.drivers.get(name))
            _write_previews(self.output, name, generated, source, "self" if self.drivers is None else "cross")
        except DitheadError as error:
            record.errors[GENERATED] = str(error)
        record.seconds = time.monotonic() - start
        return record

    def _score_self(self, record: ClipRecord, generated: Observation, source: Observation) -> None:
        networks, audio = self.networks, None
        if source.info.has_audio:
            audio = fit_length(read_audio(source.path, SAMPLE_RATE), source.duration, SAMPLE_RATE)
        record.curves[f"{GENERATED}/self"] = generated.openings_at(source.times)
        sound = None if generated.info.has_audio else audio
        measures = measure.measure_self(generated, source, audio, networks) | networks.sync(generated, sound)
        record.add(GENERATED, "self", measures)
        record.add(GENERATED, "self", measure.measure_synced(generated, source, networks.sync(source)))
        if features := networks.fid_features(*measure.pair_crops(generated, source)):
            record.features[GENERATED] = features

    def _score_cross(
        self, record: ClipRecord, generated: Observation, source: Observation, driver_video: Path | None
    ) -> None:
        if driver_video is None:
            raise DataError("no driver's video of this name")
        driver = observe(driver_video)
        record.curves["driver"] = driver.openings_at(source.times)
        record.curves[f"{GENERATED}/cross"] = generated.openings_at(source.times)
        measures = measure.measure_cross(generated, source, driver, driver_sync=self.networks.sync(driver))
        record.add(GENERATED, "cross", measures | self.networks.sync(generated))


def _naming_hint(made: Mapping[str, Path], true: Mapping[str, Path]) -> str:
    """Advice on what to rename, for one video as an example."""
    for name, path in made.items():
        if near := _nearest(name, true):
            return f"{path.name} should be {near}{path.suffix}"
    return f"there are {', '.join(list(made)[:3])} and {', '.join(list(true)[:3])}"


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """The longest of ``names`` that contains ``name`` or is contained in it."""
    return max((n for n in names if n in name or name in n), key=len, default=None)


def _left_out(made: Mapping[str, Path], true: Mapping[str, Path], folder: Path) -> list[str]:
    """Notes on videos without a true video of their name, so that nobody believes they were measured."""
    unmatched = [name for name in true if name not in made]
    notes = []
    for name, path in made.items():
        if name not in true:
            near = _nearest(name, unmatched)
            hint = f"; is it {near}? Then rename it" if near else ""
            notes.append(f"{folder.name}/{path.name}: left out, no true video is called {name!r}{hint}")
    return notes


def _remarks(generated: Observation, source: Observation) -> list[str]:
    """What a reader should know about a video though it can be measured."""
    notes = []
    if not generated.info.has_audio:
        notes.append("the generated video has no sound; lips are compared with the true video's sound")
    if not source.info.has_audio:
        notes.append("the true video has no sound; whether the sound is in place is not measured")
    if abs(generated.duration - source.duration) > LENGTH_TOLERANCE:
        notes.append(
            f"{generated.duration:.2f} s long, the true video {source.duration:.2f} s; their common part is measured"
        )
    if generated.info.fps != source.info.fps:
        notes.append(f"{float(generated.info.fps):g} frames per second, the true video {float(source.info.fps):g}")
    return notes + _size_remarks(generated.info, source.info)


def _size_remarks(generated: VideoInfo, source: VideoInfo) -> list[str]:
    sizes = f"{generated.width} x {generated.height} pixels, the true video {source.width} x {source.height}"
    if not same_aspect(generated, source):
        return [
            f"{sizes}, which is another shape: it was cropped or padded, so each face is aligned by itself, and PSNR, "
            "SSIM and sharpness are rough"
        ]
    if (generated.height, generated.width) != (source.height, source.width):
        return [f"{sizes}: it is scaled to that size before it is measured, its sharpness, too"]
    return []


def _write_previews(output: Path, name: str, generated: Observation, source: Observation, protocol: str) -> None:
    """Write stills of the same moments, and a short video with the generated video's sound, or else the true one's."""
    truth = source.crops[source.nearest(generated.times)]
    sheet = previews.still_sheet({"truth": truth, "generated": generated.crops})
    previews.save_jpeg(output / "stills" / f"{name}.jpg", sheet)
    sound = None
    if (video := next((video for video in (generated, source) if video.info.has_audio), None)) is not None:
        sound = (fit_length(read_audio(video.path, SAMPLE_RATE), generated.duration, SAMPLE_RATE), SAMPLE_RATE)
    path = output / "previews" / f"{name}_{protocol}.mp4"
    previews.side_by_side(path, [truth, generated.crops], generated.info.fps, sound)
