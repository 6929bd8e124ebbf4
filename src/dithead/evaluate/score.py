"""Measures videos that exist already, made by any tools, against the true videos, matched by name.

The report has a row for each tool beside the true videos and, with other speech, their copies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import ConfigError, DataError, DitheadError
from dithead.evaluate import clip_measures as measure
from dithead.evaluate import previews
from dithead.evaluate.baselines import COPY, LABELS, TRUTH, sound_of, write_copy
from dithead.evaluate.command_text import score_command
from dithead.evaluate.lip_series import compare_cross
from dithead.evaluate.matching import match_videos, videos_of
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.observe_video import Observation, observe, same_aspect
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import claim_folder, write_reports
from dithead.media.audio import read_audio
from dithead.media.info import VideoInfo
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.progress import Progress, annotate, silent
from dithead.types import Wave

GENERATED = "generated"
"""Row of a single tool without a name."""
LENGTH_TOLERANCE = 0.1
"""Seconds by which a video may be longer or shorter than the true one without a note (our choice)."""


def score_folders(
    generated: Mapping[str, Path | str] | Path | str,
    truth: Path | str,
    output: Path | str,
    *,
    drivers: Path | str | None = None,
    weights: Mapping[str, Path | str] | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure every tool's counterpart of every true video, and write the report.

    Args:
        generated: Name of a tool -> its folder of videos, or one video; or one folder without a name.
        truth: Folder of the true videos, or one video. A tool fails on one that it has no counterpart of.
        output: Folder of the report.
        drivers: For videos that were driven by other speech, the folder with that speech's own videos under the same
            names; the measures of the cross-audio protocol are then taken.
        weights: Pretrained networks, see ``external_networks``.
        say: Told before anything is measured which names were matched loosely, and which videos are left out.
        progress: Called with what is being done, the steps done and the steps in all.

    Returns:
        The content of report.json.

    Raises:
        DataError: No name of a tool's videos matches one of the true videos.
    """
    tools = {GENERATED: generated} if isinstance(generated, Path | str) else dict(generated)
    if not tools or {TRUTH, COPY} & set(tools):
        raise ConfigError(f"give each tool a name other than {TRUTH} and {COPY}")
    true = videos_of(truth)
    matches = {name: match_videos(_label(name, place), videos_of(place), true) for name, place in tools.items()}
    notes = [note for found in matches.values() for note in found.notes]
    if say is not None:
        for line in notes:
            say(line)
    networks = NetworkMeasures(weights)
    settings: dict[str, Any] = {
        "generated": str(generated) if GENERATED in tools else {name: str(place) for name, place in tools.items()},
        "truth": str(truth),
        "drivers": drivers and str(drivers),
        "weights": {name: str(path) for name, path in networks.weights.items()},
    }
    claim_folder(Path(output), settings)
    made = {name: found.videos for name, found in matches.items()}
    records: list[ClipRecord] = []

    def watch(text: str) -> None:
        annotate(progress, text)
        progress("clips", len(records), len(true))

    scoring = _Scoring(made, None if drivers is None else videos_of(drivers), networks, Path(output), watch)
    progress("clips", 0, len(true))
    for done, (name, path) in enumerate(true.items(), 1):
        records.append(scoring.score(name, path))
        progress("clips", done, len(true))
    baselines = (TRUTH,) if drivers is None else (TRUTH, COPY)
    labels = {row: LABELS[row] for row in baselines} | {name: _label(name, place) for name, place in tools.items()}
    command = score_command(settings, output)
    report = build_report(records, labels, next(iter(tools)), settings, networks.missing(), notes, command)
    write_reports(Path(output), report, records)
    return report


def _label(name: str, place: Path | str) -> str:
    """The name of a tool for readers: its own, or that of its folder."""
    return Path(place).resolve().name if name == GENERATED else name


@dataclass(frozen=True)
class _Scoring:
    """What all clips of one scoring share: the videos to measure, those of the drivers, networks and the folder."""

    made: dict[str, dict[str, Path]]
    drivers: dict[str, Path] | None
    networks: NetworkMeasures
    output: Path
    watch: Callable[[str], None]

    def score(self, name: str, truth: Path) -> ClipRecord:
        """Measure one clip by the truth and by every tool; an error is recorded for the row."""
        start, record = time.monotonic(), ClipRecord(name)
        try:
            clip = _Clip(name, observe(truth), self._driver(name), record)
        except DitheadError as error:
            record.errors = dict.fromkeys((TRUTH, *([] if self.drivers is None else [COPY]), *self.made), str(error))
            return record
        record.curves["source"] = list(clip.source.lips.openings)
        if clip.driver is not None:
            record.curves["driver"] = clip.driver.openings_at(clip.source.times)
        self._attempt(record, TRUTH, partial(self._score_truth, clip))
        if clip.driver is not None:
            self._attempt(record, COPY, partial(self._score_copy, clip))
        shown: dict[str, Observation] = {}
        for tool in self.made:
            video = self._attempt(record, tool, partial(self._score_tool, clip, tool))
            if video is not None:
                shown[tool] = video
        _write_previews(self.output, clip, shown)
        record.seconds = time.monotonic() - start
        return record

    def _driver(self, name: str) -> Observation | None:
        if self.drivers is None:
            return None
        if name not in self.drivers:
            raise DataError("no driver's video of this name")
        return observe(self.drivers[name])

    def _attempt(self, record: ClipRecord, row: str, work: Any) -> Any:
        self.watch(f"{record.clip}: {row}")
        try:
            return work()
        except DitheadError as error:
            record.errors[row] = str(error)
            return None

    def _score_tool(self, clip: _Clip, tool: str) -> Observation:
        """Measure the video that a tool made of a clip."""
        if clip.name not in self.made[tool]:
            raise DataError("no generated video of this name")
        generated = observe(self.made[tool][clip.name], clip.source)
        prefix = "" if tool == GENERATED else f"{tool}: "
        clip.record.notes += [prefix + remark for remark in _remarks(generated, clip)]
        self._score(clip, tool, generated)
        return generated

    def _score_copy(self, clip: _Clip) -> None:
        """Measure the source, copied with the speech that drives the clip."""
        self._score(clip, COPY, self._copy(clip.source, COPY, clip))

    def _score_truth(self, clip: _Clip) -> None:
        """Measure the true video, encoded again; with other speech that is the driver's."""
        if clip.driver is None:
            self._score(clip, TRUTH, self._copy(clip.source, TRUTH, clip))
            return
        truth = self._copy(clip.driver, TRUTH, clip)
        measures = compare_cross(truth.lips, clip.driver.lips, clip.source.lips)
        clip.record.add(TRUTH, "cross", measures | self.networks.sync(truth))

    def _copy(self, video: Observation, row: str, clip: _Clip) -> Observation:
        """The video, encoded again with the speech of the clip: always anew, since either may have been replaced."""
        path = self.output / "videos" / row / clip.protocol / f"{video.path.stem}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        return observe(write_copy(video, path, sound_of(clip.speaker, video.duration)), video)

    def _score(self, clip: _Clip, row: str, generated: Observation) -> None:
        record, source, networks, speech = clip.record, clip.source, self.networks, clip.speech
        record.curves[f"{row}/{clip.protocol}"] = generated.openings_at(source.times)
        sync = networks.sync(generated, None if _has_speech(generated, clip) else speech)
        if clip.driver is not None:
            driver_sync = networks.sync(clip.driver)
            record.add(row, "cross", measure.measure_cross(generated, source, clip.driver, speech, driver_sync) | sync)
            return
        record.add(row, "self", measure.measure_self(generated, source, speech, networks) | sync)
        record.add(row, "self", measure.measure_synced(generated, source, networks.sync(source)))
        if features := networks.fid_features(*measure.pair_crops(generated, source)):
            record.features[row] = features


@dataclass(frozen=True)
class _Clip:
    """One true video, what drives it, and what was measured so far."""

    name: str
    source: Observation
    driver: Observation | None
    record: ClipRecord

    @property
    def protocol(self) -> str:
        """Whose speech drives the clip: its own (self) or that of another video (cross)."""
        return "self" if self.driver is None else "cross"

    @property
    def speaker(self) -> Observation:
        """The video whose speech drives the clip."""
        return self.source if self.driver is None else self.driver

    @cached_property
    def speech(self) -> Wave | None:
        """The sound (n,) at 16 kHz that drives the clip, as long as its picture; None where that video has none."""
        return sound_of(self.speaker, self.source.duration) if self.speaker.info.has_audio else None


def _has_speech(generated: Observation, clip: _Clip) -> bool:
    """Whether a video carries the speech that drives its clip, so that its own sound can be judged."""
    if clip.speech is None or not np.any(clip.speech):
        return True
    return generated.info.has_audio and measure.carries_sound(generated.path, clip.speech)


def _remarks(generated: Observation, clip: _Clip) -> list[str]:
    """What a reader should know about a video though it can be measured."""
    notes, source = [], clip.source
    if not generated.info.has_audio:
        notes.append("the generated video has no sound; its lips are judged by the speech that drives the clip")
    elif not _has_speech(generated, clip):
        notes.append("its sound is not the speech that drives the clip; its lips are judged by that speech")
    if clip.speech is None:
        speaker = "true video" if clip.driver is None else "driver's video"
        notes.append(f"the {speaker} has no sound; whether the sound is in place is not measured")
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


def _write_previews(output: Path, clip: _Clip, made: Mapping[str, Observation]) -> None:
    """Write stills of the same moments, and a short video of the true video beside those of all tools.

    The video has the speech that drives the clip, or else the sound of the first video that has one.
    """
    if not made:
        return
    times = next(iter(made.values())).times
    rows = {"truth" if clip.driver is None else "source": clip.source.crops[clip.source.nearest(times)]}
    rows |= {tool: video.crops[video.nearest(times)] for tool, video in made.items()}
    previews.save_jpeg(output / "stills" / f"{clip.name}.jpg", previews.still_sheet(rows))
    heard = next((video for video in made.values() if video.info.has_audio), None)
    speech = clip.speech if clip.speech is not None or heard is None else read_audio(heard.path, SAMPLE_RATE)
    path = output / "previews" / f"{clip.name}_{clip.protocol}.mp4"
    sound = None if speech is None else (speech, SAMPLE_RATE)
    previews.side_by_side(path, list(rows.values()), next(iter(made.values())).info.fps, sound)
