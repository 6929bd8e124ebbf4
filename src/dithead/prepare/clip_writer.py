"""One raw video to clip folders: track, cut into runs, align, crop, write. Runs inside a worker process.

Letters: N frames, S crop side. The video is decoded twice so that memory does not grow with its length.
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
from dithead.face.tracking import FaceObservation, face_runs, fill_gaps, track_faces
from dithead.media.audio import read_audio, write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.sync_check import Listener, Speech
from dithead.types import Landmarks, Similarity, Wave


@dataclass(frozen=True)
class Outcome:
    """What became of one stretch of one video: a clip, or a rejection and why."""

    id: str
    frames: int
    reason: str = ""  # empty: the clip was written
    speech: Speech | None = None  # None: not measured

    @property
    def status(self) -> str:
        return "rejected" if self.reason else "ok"


@dataclass(frozen=True)
class _Piece:
    """A stretch of the video that may become a clip."""

    id: str
    start: int  # first frame at the dataset's frame rate
    seen: list[FaceObservation]


def prepare_video(
    path: Path, slug: str, audio_offset: float, clips: Path, config: PrepareConfig, landmarker: FaceLandmarker
) -> list[Outcome]:
    """Write the clip folders of one video below ``clips``; never raises for what is wrong with the video."""
    try:
        info = probe(path)
        if not info.has_audio:
            return [Outcome(slug, info.frames or 0, "no audio track")]
        wave = _shifted(read_audio(path, config.sample_rate), audio_offset, config)
        seen = list(track_faces((f.pixels for f in _frames(path, config)), landmarker))
        pieces = _pieces(seen, slug, config)
        if not pieces:
            return [Outcome(slug, len(seen), "no face")]
        outcomes = {p.id: Outcome(p.id, len(p.seen), _reject(p, wave, config)) for p in pieces}
        good = [p for p in pieces if not outcomes[p.id].reason]
        for outcome in _write_pieces(path, info, good, wave, clips, config):
            outcomes[outcome.id] = outcome
        return list(outcomes.values())
    except MediaError as error:
        return [Outcome(slug, 0, f"unreadable: {_without_path(error, path)}")]
    except FaceError as error:
        return [Outcome(slug, 0, f"unusable face: {error}")]


def _frames(path: Path, config: PrepareConfig) -> Iterator[Any]:
    return read_frames(path, fps=Fraction(config.fps))


def _shifted(wave: Wave, offset: float, config: PrepareConfig) -> Wave:
    """The sound moved earlier by ``offset`` seconds (later when negative)."""
    count = round(offset * config.sample_rate)
    return wave[count:] if count >= 0 else np.pad(wave, (-count, 0))


def _pieces(seen: list[FaceObservation], slug: str, config: PrepareConfig) -> list[_Piece]:
    """Runs with a face, each cut into equal parts no longer than ``max_seconds``."""
    spans = []
    for first, stop in face_runs(seen):
        parts = -(-(stop - first) // round(config.max_seconds * config.fps))
        edges = np.linspace(first, stop, parts + 1).round().astype(int)
        spans += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    names = [slug] if len(spans) == 1 else [f"{slug}_{k:03d}" for k in range(len(spans))]
    return [_Piece(name, a, seen[a:b]) for name, (a, b) in zip(names, spans, strict=True)]


def _reject(piece: _Piece, wave: Wave, config: PrepareConfig) -> str:
    """Why a piece is no clip, or an empty string."""
    found = [o.landmarks for o in piece.seen if o.landmarks is not None]
    seconds = len(piece.seen) / config.fps
    if seconds < config.min_seconds:
        return f"too short: a face for {seconds:.2f} s, at least {config.min_seconds:g} s are needed"
    if len(found) < config.min_valid * len(piece.seen):
        return f"too few frames with a face: {len(found)} of {len(piece.seen)}"
    eyes = _median_eye_distance(found)
    if eyes < config.min_eye_distance:
        return f"face too small: eyes {eyes:.0f} px apart, at least {config.min_eye_distance:g} are needed"
    sound = _sound(piece, wave, config)
    if not sound.any():
        return "no sound"
    return ""


def _sound(piece: _Piece, wave: Wave, config: PrepareConfig, late: int = 0) -> Wave:
    """Exactly the piece's samples, of a sound that is ``late`` frames late; silence where the track has none."""
    per_frame = config.sample_rate / config.fps
    start, count = round((piece.start + late) * per_frame), round(len(piece.seen) * per_frame)
    cut = wave[max(start, 0) : max(start + count, 0)]
    before = min(max(-start, 0), count)
    return np.pad(cut, (before, count - before - len(cut)))


def _write_pieces(
    path: Path, info: VideoInfo, pieces: list[_Piece], wave: Wave, clips: Path, config: PrepareConfig
) -> Iterator[Outcome]:
    """Second pass over the video: every piece in its own folder, which appears whole or not at all."""
    frames = _frames(path, config)
    for piece in pieces:  # in order of time
        temporary, final = clips / f".{piece.id}.part", clips / piece.id
        for folder in (temporary, final):
            shutil.rmtree(folder, ignore_errors=True)
        temporary.mkdir(parents=True)
        transforms, landmarks = _write_track(temporary, piece, config)
        listener = Listener(landmarks, config)
        _write_crops(temporary / "crop.mp4", frames, piece.start, transforms, config, listener)
        sound = _sound(piece, wave, config)
        speech = listener.hear(sound)
        outcome = Outcome(piece.id, len(piece.seen), listener.reject(speech, sound), speech)
        yield outcome
        if outcome.reason:
            shutil.rmtree(temporary)
            continue
        late = speech.offset if speech is not None and speech.corrected else 0
        write_audio(temporary / "audio.flac", _sound(piece, wave, config, late), config.sample_rate)
        _write_meta(temporary / "meta.json", path, info, piece, outcome, config)
        temporary.rename(final)


def _write_track(folder: Path, piece: _Piece, config: PrepareConfig) -> tuple[list[Similarity], NDArray[np.float32]]:
    """Write the track; returns what maps each frame to its crop, and the landmarks (N, 478, 2) there."""
    landmarks, valid = fill_gaps([o.landmarks for o in piece.seen])
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
    path: Path, frames: Iterator[Any], start: int, transforms: list[Similarity], config: PrepareConfig,
    listener: Listener,
) -> None:  # fmt: skip
    """Crops of ``frames`` (already somewhere before ``start``) as H.264 with full colour resolution."""
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
            listener.see(crop)
            if frame.index - start == len(transforms) - 1:
                return
    raise MediaError(f"{path}: the video gave fewer frames the second time; copy it again")


def _write_meta(
    path: Path, source: Path, info: VideoInfo, piece: _Piece, outcome: Outcome, config: PrepareConfig
) -> None:
    found = [o.landmarks for o in piece.seen if o.landmarks is not None]
    meta = asdict(outcome) | {
        "file": source.name,
        "start_seconds": piece.start / config.fps,
        "fps": config.fps,
        "source_size": [info.width, info.height],
        "source_fps": float(info.fps),
        "frames_without_face": len(piece.seen) - len(found),
        "eye_distance_px": round(_median_eye_distance(found), 1),
    }
    meta.pop("reason")
    path.write_text(json.dumps(meta, indent=1) + "\n", "utf-8")


def _median_eye_distance(faces: list[Landmarks]) -> float:
    """Median over the frames of a clip, in pixels of the source."""
    return float(np.median(np.array([eye_distance(face) for face in faces], np.float32)))


def _without_path(error: DitheadError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
