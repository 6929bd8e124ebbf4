"""Turns one raw video into clip folders: tracks the face, cuts, aligns, crops, writes. Runs in a worker process.

The video is decoded twice, so that memory does not grow with its length. Letters: N frames, S crop side.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DitheadError, FaceError, MediaError
from dithead.face.alignment import crop_transform, smooth_transforms, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import stable_polygon
from dithead.face.mesh_indices import eye_distance
from dithead.face.tracking import FaceObservation, face_spans, fill_gaps, track_faces
from dithead.media.audio import read_audio, write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import VideoFrame, probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.prepare.raw_videos import RawVideo
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.sync_check import SyncChecker, SyncMeasurement
from dithead.types import Landmarks, Similarity, Wave


@dataclass(frozen=True)
class ClipOutcome:
    """What became of one part of one raw video: a clip, or a rejection and its reason."""

    id: str
    frames: int
    reason: str = ""  # empty: the clip was written
    speech: SyncMeasurement | None = None  # None: not measured
    has_speech: bool = True  # False: a clip without sound, kept for appearance

    @property
    def status(self) -> str:
        """``ok`` or ``rejected``."""
        return "rejected" if self.reason else "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data; ``has_speech`` appears only where it is false, so that old records stay valid."""
        values = asdict(self)
        if self.has_speech:
            del values["has_speech"]
        return values


@dataclass(frozen=True)
class _Part:
    """A part of the video that may become a clip."""

    id: str
    start: int  # first frame at the dataset's frame rate
    observations: list[FaceObservation]

    @property
    def faces(self) -> list[Landmarks]:
        """Landmarks of the frames in which the face was found."""
        return [o.landmarks for o in self.observations if o.landmarks is not None]


def prepare_video(video: RawVideo, clips: Path, config: PrepareConfig, landmarker: FaceLandmarker) -> list[ClipOutcome]:
    """Write the clip folders of one video; whatever is wrong with it becomes the reason of a rejection.

    Args:
        video: The raw video.
        clips: Folder that holds the clip folders.
        config: Settings of the dataset.
        landmarker: Finds the faces; may be shared between videos.
    """
    path, slug = video.path, video.slug
    try:
        info = probe(path)
        if not info.has_audio and not config.keep_silent:
            return [ClipOutcome(slug, info.frames or 0, "no audio track")]
        sound = np.zeros(0, np.float32)
        if info.has_audio:
            sound = _move_earlier(read_audio(path, config.sample_rate), video.audio_offset, config)
        observations = list(track_faces((f.pixels for f in _frames(path, config)), landmarker))
        parts = _parts(observations, slug, config)
        if not parts:
            return [ClipOutcome(slug, len(observations), "no face")]
        outcomes = {p.id: ClipOutcome(p.id, len(p.observations), _rejection(p, sound, config)) for p in parts}
        accepted = [p for p in parts if not outcomes[p.id].reason]
        for outcome in _write_parts(path, info, accepted, sound, clips, config):
            outcomes[outcome.id] = outcome
        return list(outcomes.values())
    except MediaError as error:
        return [ClipOutcome(slug, 0, f"unreadable: {_without_path(error, path)}")]
    except FaceError as error:
        return [ClipOutcome(slug, 0, f"unusable face: {error}")]


def _frames(path: Path, config: PrepareConfig) -> Iterator[VideoFrame]:
    return read_frames(path, fps=Fraction(config.fps))


def _move_earlier(wave: Wave, seconds: float, config: PrepareConfig) -> Wave:
    """Move the sound earlier by so many seconds, or later when they are negative."""
    count = round(seconds * config.sample_rate)
    return wave[count:] if count >= 0 else np.pad(wave, (-count, 0))


def _parts(observations: list[FaceObservation], slug: str, config: PrepareConfig) -> list[_Part]:
    """Cut the spans in which a face is there into equal parts no longer than ``max_seconds``."""
    spans = []
    for first, stop in face_spans(observations):
        count = -(-(stop - first) // round(config.max_seconds * config.fps))
        edges = np.linspace(first, stop, count + 1).round().astype(int)
        spans += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    names = [slug] if len(spans) == 1 else [f"{slug}_{k:03d}" for k in range(len(spans))]
    return [_Part(name, a, observations[a:b]) for name, (a, b) in zip(names, spans, strict=True)]


def _rejection(part: _Part, sound: Wave, config: PrepareConfig) -> str:
    """Return why a part is no clip, or an empty string."""
    count, found = len(part.observations), part.faces
    seconds = count / config.fps
    if seconds < config.min_seconds:
        return f"too short: a face for {seconds:.2f} s, at least {config.min_seconds:g} s are needed"
    if len(found) < config.min_valid * count:
        return f"too few frames with a face: {len(found)} of {count}"
    eyes = _median_eye_distance(found)
    if eyes < config.min_eye_distance:
        return f"face too small: eyes {eyes:.0f} px apart, at least {config.min_eye_distance:g} are needed"
    if not config.keep_silent and not _sound_of(part, sound, config).any():
        return "no sound"
    return ""


def _sound_of(part: _Part, sound: Wave, config: PrepareConfig, late: int = 0) -> Wave:
    """Return exactly the part's samples of a sound that is ``late`` frames late; silence where the track has none."""
    per_frame = config.sample_rate / config.fps
    start, count = round((part.start + late) * per_frame), round(len(part.observations) * per_frame)
    cut = sound[max(start, 0) : max(start + count, 0)]
    before = min(max(-start, 0), count)
    return np.pad(cut, (before, count - before - len(cut)))


def _write_parts(
    path: Path, info: VideoInfo, parts: list[_Part], sound: Wave, clips: Path, config: PrepareConfig
) -> Iterator[ClipOutcome]:
    """Decode the video a second time and write every part as a folder, which appears whole or not at all."""
    frames = _frames(path, config)
    for part in parts:  # in order of time
        temporary, final = clips / f".{part.id}.part", clips / part.id
        for folder in (temporary, final):
            shutil.rmtree(folder, ignore_errors=True)
        temporary.mkdir(parents=True)
        transforms, landmarks = _write_track(temporary, part, config)
        checker = SyncChecker(landmarks, config)
        _write_crops(temporary / "crop.mp4", frames, part.start, transforms, config, checker)
        outcome = _check_sync(part, _sound_of(part, sound, config), checker)
        yield outcome
        if outcome.reason:
            shutil.rmtree(temporary)
            continue
        late = outcome.speech.offset if outcome.speech is not None and outcome.speech.corrected else 0
        write_audio(temporary / "audio.flac", _sound_of(part, sound, config, late), config.sample_rate)
        _write_meta(temporary / "meta.json", path, info, part, outcome, config)
        temporary.rename(final)


def _check_sync(part: _Part, sound: Wave, checker: SyncChecker) -> ClipOutcome:
    """Return the outcome of a part with these samples; there is nothing to measure in a silent one."""
    if not sound.any():
        return ClipOutcome(part.id, len(part.observations), has_speech=False)
    measured = checker.measure(sound)
    return ClipOutcome(part.id, len(part.observations), checker.rejection(measured, sound), measured)


def _write_track(folder: Path, part: _Part, config: PrepareConfig) -> tuple[list[Similarity], NDArray[np.float32]]:
    """Write the track; return the transform of each frame to its crop, and the landmarks (N, 478, 2) there."""
    landmarks, valid = fill_gaps([o.landmarks for o in part.observations])
    raw = [crop_transform(face, config.size) for face in landmarks]
    transforms = [m for m in smooth_transforms(raw, config.smooth_frames) if m is not None]
    in_crop = np.stack([transform_points(p, m) for p, m in zip(landmarks, transforms, strict=True)])
    np.savez_compressed(
        folder / "track.npz",
        landmarks=in_crop,  # (N, 478, 2)
        transforms=np.stack(transforms),  # (N, 2, 3)
        valid=valid,  # (N,)
        polygon=stable_polygon(in_crop[valid], config.size),  # (K, 2)
    )
    return transforms, in_crop


def _write_crops(
    path: Path, frames: Iterator[VideoFrame], start: int, transforms: list[Similarity], config: PrepareConfig,
    checker: SyncChecker,
) -> None:  # fmt: skip
    """Write crops from frame ``start`` on as H.264 with full colour resolution; ``frames`` are not yet beyond it."""
    like = VideoInfo(
        config.size, config.size, Fraction(config.fps), pix_fmt="yuv444p", color_range=1, color_space=1,
        color_primaries=1, color_trc=1,
    )  # fmt: skip
    with VideoWriter(path, like, EncoderOptions(crf=config.crf, repeatable=True)) as writer:
        for frame in frames:
            if frame.index < start:
                continue
            crop = warp_crop(frame.pixels, transforms[frame.index - start], config.size)
            writer.write(crop)
            checker.add_crop(crop)
            if frame.index - start == len(transforms) - 1:
                return
    raise MediaError(f"{path}: the video gave fewer frames the second time; copy it again")


def _write_meta(
    path: Path, source: Path, info: VideoInfo, part: _Part, outcome: ClipOutcome, config: PrepareConfig
) -> None:
    """Write the facts about a clip's origin."""
    found = part.faces
    meta = outcome.to_dict() | {
        "file": source.name,
        "start_seconds": part.start / config.fps,
        "fps": config.fps,
        "source_size": [info.width, info.height],
        "source_fps": float(info.fps),
        "frames_without_face": len(part.observations) - len(found),
        "eye_distance_px": round(_median_eye_distance(found), 1),
    }
    meta.pop("reason")
    path.write_text(json.dumps(meta, indent=1) + "\n", "utf-8")


def _median_eye_distance(faces: list[Landmarks]) -> float:
    """Median over the frames of a clip, in pixels of the source."""
    return float(np.median(np.array([eye_distance(face) for face in faces], np.float32)))


def _without_path(error: DitheadError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
