"""First pass over the video: where are the faces to draw on, and why not where there are none.

Memory stays constant in practice, see ``run``.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.alignment import crop_transform, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.tracking import LONGEST_GAP, track_faces
from dithead.inference.analyse.image_store import ImageStore, StoredImages
from dithead.inference.analyse.multi_face import FaceChoice, follow_faces
from dithead.inference.analyse.occlusion import (
    BLURRED,
    HIDDEN,
    RESIDUAL_BYTES,
    OcclusionDetector,
    OcclusionFinding,
    OcclusionMasks,
)
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import Tracklet, TrackletBuilder, head_turn
from dithead.inference.result import FrameSpan
from dithead.inference.synthesise.lip_calibration import LipCalibration, calibrate, source_speech
from dithead.media.files import save_arrays
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, MaskKind

if TYPE_CHECKING:
    from dithead.inference.source.timeline import SourceClip
    from dithead.models.talking_head import TalkingHead

SMALLEST_EYES = 16.0  # pixels between the outer eye corners; below, there is no mouth to draw
WIDEST_TURN = 0.72  # |yaw| from which half the mouth is hidden


@dataclass
class VideoAnalysis:
    """What the first pass found."""

    stamps: NDArray[np.int64]  # (N,) time stamps of all frames
    tracklets: list[Tracklet]
    passed_through: list[FrameSpan]
    damaged: list[FrameSpan] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def faces_missed(self) -> int:
        return sum(s.last - s.first + 1 for s in self.passed_through)

    def tracklets_at(self, index: int) -> list[Tracklet]:
        """The runs that cover a frame: one for each face."""
        return [tracklet for tracklet in self.tracklets if tracklet.start <= index < tracklet.stop]

    def calibrate_lips(self, talker: TalkingHead, clip: SourceClip, store: Path) -> None:
        """Hear in the source's own sound, where it has any, how each run's person speaks; it is kept in ``store``."""
        sound = source_speech(talker, clip.path, store) if clip.info.has_audio else None
        if sound is None:
            return
        for tracklet in self.tracklets:
            tracklet.calibration = calibrate(talker, sound, tracklet.moments + clip.start)

    def save(self, path: Path) -> None:
        """Write an .npz; the file appears whole or not at all."""
        spans = [(r.start, r.stop, r.fades_in, r.fades_out, r.face) for r in self.tracklets]
        mouths = [r.mouths for r in self.tracklets if r.mouths is not None]
        reports = [[(s.first, s.last, s.reason) for s in part] for part in (self.passed_through, self.damaged)]
        save_arrays(
            path,
            stamps=self.stamps,
            spans=np.array(spans, np.int64),
            transforms=np.concatenate([r.transforms for r in self.tracklets]),
            polygons=np.stack([r.polygon for r in self.tracklets]),
            lips=np.stack([r.lips for r in self.tracklets]),
            openings=np.array([r.opening for r in self.tracklets]),
            cheeks=np.stack([r.cheeks for r in self.tracklets if r.cheeks is not None]),
            references=np.stack([r.reference for r in self.tracklets]),
            calibrations=np.array(
                [(k, r.calibration.spread, *r.calibration.told) for k, r in enumerate(self.tracklets) if r.calibration]
            ),
            mouths=np.array([(m.mean_opening, m.images.offset, len(m.openings)) for m in mouths]),
            mouth_openings=np.concatenate([m.openings for m in mouths]),
            mouth_moves=np.concatenate([m.moves for m in mouths]),
            mouth_lengths=np.concatenate([np.reshape(m.images.lengths, (2, -1)).T for m in mouths]),
            jaws=np.concatenate([r.jaws for r in self.tracklets if r.jaws is not None]),
            outlines=np.concatenate([np.zeros((0, 2)) if r.outlines is None else r.outlines for r in self.tracklets]),
            occlusion=np.frombuffer(
                b"".join(data for r in self.tracklets for data in r.occlusion.parts.values()), np.uint8
            ),
            covered=np.array(
                [(k, i, len(d)) for k, r in enumerate(self.tracklets) for i, d in r.occlusion.parts.items()]
            ),
            hidden=np.array([(k, i) for k, r in enumerate(self.tracklets) for i in sorted(r.occlusion.whole)]),
            residual_occluder=np.array(
                [list(r.occlusion.residual_occluder.ljust(RESIDUAL_BYTES, b"\0")) for r in self.tracklets], np.uint8
            ),
            reports=np.array(json.dumps(reports)),
        )

    @staticmethod
    def load(path: Path, store: ImageStore) -> VideoAnalysis:
        """Read what ``save`` wrote; the pictures stay on ``shelf``."""
        with np.load(path, allow_pickle=False) as data:
            spans = data["spans"].tolist()
            cuts = np.cumsum([stop - start for start, stop, *_ in spans])[:-1]
            moves = np.split(data["transforms"], cuts)
            tracklets = [
                Tracklet(start, stop, m, polygon, lips, reference, bool(fades_in), bool(fades_out), face)
                for (start, stop, fades_in, fades_out, face), m, polygon, lips, reference in zip(
                    spans, moves, data["polygons"], data["lips"], data["references"], strict=True
                )
            ]
            rest = zip(tracklets, np.split(data["jaws"], cuts), data["openings"].tolist(), data["cheeks"], strict=True)
            for tracklet, jaws, opening, cheeks in rest:
                tracklet.jaws, tracklet.opening, tracklet.cheeks = jaws, opening, cheeks
            if len(data["outlines"]):
                for tracklet, outlines in zip(tracklets, np.split(data["outlines"], cuts), strict=True):
                    tracklet.outlines = outlines
            kept = data["mouths"]
            each = (np.split(data[f"mouth_{name}"], np.cumsum(kept[:-1, 2]).astype(int)) for name in _OF_MOUTHS)
            for tracklet, (mean_opening, offset, _), openings, places, lengths in zip(
                tracklets, kept, *each, strict=True
            ):
                images = StoredImages(int(offset), tuple(lengths.T.ravel().tolist()))
                tracklet.mouths = StoredReferences(store, images, openings, float(mean_opening), places)
            for k, spread, *told in data["habits"].tolist():
                tracklets[int(k)].calibration = LipCalibration(np.array(told, np.float32), spread)
            _load_covers(tracklets, data["covers"].tobytes(), data["covered"].tolist(), data["hidden"].tolist())
            for tracklet, residual_occluder in zip(tracklets, data["haunted"], strict=True):
                tracklet.occlusion.residual_occluder = residual_occluder.tobytes() if residual_occluder.any() else b""
            passed, damaged = ([FrameSpan(*item) for item in part] for part in json.loads(str(data["reports"])))
            return VideoAnalysis(data["stamps"], tracklets, passed, damaged)


def analyse_video(
    frames: Iterable[VideoFrame],
    size: int,
    choice: FaceChoice | None = None,
    landmarker: FaceLandmarker | None = None,
    detector: OcclusionDetector | None = None,
    mask: MaskKind = "stable-polygon",
    store: ImageStore | None = None,
) -> VideoAnalysis:
    """Track the chosen faces through all frames; raise ``FaceError`` when no frame has a usable one.

    size: crop side S of the model that will draw the mouths.  choice: None follows the largest face of each shot,
    several times as quick as any other choice, which has to look for all faces in every frame.  lookout: finds
    what hides the mouth; without one nothing is taken to.  mask: the kind that model learned with.  shelf: where
    pictures of the mouths are kept; in memory without one.
    """
    surveyor = VideoAnalyser(size, detector, mask, store)
    current: list[VideoFrame] = []

    def pixels() -> Iterator[RGB]:
        for frame in frames:
            current[:], surveyor.picture = [frame], frame.quick_pixels
            yield surveyor.picture

    if choice is None:
        for seen in track_faces(pixels(), landmarker):
            surveyor.step(current[0], {0: seen.landmarks}, seen.shot)
    else:
        for faces, shot in follow_faces(pixels(), choice, landmarker):
            surveyor.step(current[0], faces, shot)
    return surveyor.finish()


class VideoAnalyser:
    """Takes what was seen frame by frame and makes runs of it."""

    def __init__(
        self,
        size: int,
        detector: OcclusionDetector | None = None,
        mask: MaskKind = "stable-polygon",
        store: ImageStore | None = None,
    ) -> None:
        self.size, self.detector, self.mask = size, detector, mask
        self.store = ImageStore() if store is None else store
        self.picture: RGB | None = None  # of the present frame
        self.stamps = array("q")
        self.shot_start = 0
        self.shot = 0
        self.open: dict[int, TrackletBuilder] = {}
        self.tracklets: list[Tracklet] = []
        self.missed = bytearray()  # for each frame 0, or 1 + the place of the reason in ``_ORDER``
        self.damaged = bytearray()  # 0 or 1

    def step(self, frame: VideoFrame, faces: dict[int, Landmarks | None], shot: int) -> None:
        """One more frame with the landmarks of each chosen face by its number."""
        index = len(self.stamps)
        if shot != self.shot:
            self._close(list(self.open), at_cut=True)
            self.shot, self.shot_start = shot, index
        reasons = [self._see(index, number, frame, faces.get(number)) for number in faces.keys() | self.open.keys()]
        why = min(map(_ORDER.index, reasons), default=len(_ORDER) - 1) if all(reasons) else -1
        self.missed.append(1 + why)
        self.damaged.append(frame.damaged)
        self.stamps.append(frame.pts)

    def finish(self) -> VideoAnalysis:
        """What the frames so far amount to."""
        self._close(list(self.open), at_cut=True)
        missed = np.frombuffer(self.missed, np.uint8)
        if not self.tracklets:
            why = _ORDER[int(np.bincount(missed, minlength=2)[1:].argmax())]
            raise FaceError(f"no usable face in any of its {len(self.stamps)} frames ({why})")
        for tracklet in self.tracklets:
            part = missed[tracklet.start : tracklet.stop]
            part[part > len(_IN_RUNS)] = 0  # bridged: the face was away for a moment only
        self._report_hidden(missed)
        damaged = np.frombuffer(self.damaged, np.uint8)
        stamps = np.frombuffer(self.stamps, np.int64)
        return VideoAnalysis(stamps, self.tracklets, _stretches(missed, _ORDER), _stretches(damaged, (DAMAGED,)))

    def _report_hidden(self, missed: NDArray[np.uint8]) -> None:
        """Frames in which every mouth turned out to be hidden only when its whole run was known."""
        drawn, hidden = np.zeros(len(missed), bool), np.zeros(len(missed), bool)
        for tracklet in self.tracklets:
            whole = np.zeros(tracklet.stop - tracklet.start, bool)
            whole[[k for k in tracklet.occlusion.whole if k < len(whole)]] = True
            hidden[tracklet.start : tracklet.stop] |= whole
            drawn[tracklet.start : tracklet.stop] |= ~whole
        missed[hidden & ~drawn & (missed == 0)] = 1 + _ORDER.index(HIDDEN)

    def _see(self, index: int, number: int, frame: VideoFrame, landmarks: Landmarks | None) -> str:
        """Add a frame to a face's run; returns why it cannot be drawn on, or an empty string."""
        reason = unusable(landmarks)
        if landmarks is not None and not reason:
            if number not in self.open:
                self.open[number] = TrackletBuilder(index, number, self.mask)
            look = self._look(number, landmarks)
            self.open[number].add(frame, landmarks, self.size, look)
            return look.reason
        if number in self.open:
            self.open[number].skip()
            if self.open[number].gap > LONGEST_GAP:
                self._close([number], at_cut=False)
        return reason

    def _look(self, number: int, landmarks: Landmarks) -> OcclusionFinding:
        if self.detector is None or self.picture is None:
            return OcclusionFinding()
        move = crop_transform(landmarks, self.size)
        return self.detector.look(self.picture, transform_points(landmarks, move), move, self.size, number)

    def _close(self, numbers: list[int], at_cut: bool) -> None:
        for number in numbers:
            tracklet = self.open.pop(number)
            fades_out = not (at_cut and tracklet.gap == 0)
            self.tracklets.append(tracklet.close(self.size, tracklet.start != self.shot_start, fades_out, self.store))


_OF_MOUTHS = ("openings", "moves", "lengths")
DAMAGED = "damaged in the source; the last good frame is shown"
_IN_RUNS = (HIDDEN, BLURRED)  # the face is followed all the same
_ORDER = (*_IN_RUNS, "face turned away", "face too small", "no face")  # the most telling reason first


def _load_covers(tracklets: list[Tracklet], data: bytes, covered: list[list[int]], hidden: list[list[int]]) -> None:
    for tracklet in tracklets:
        tracklet.occlusion = OcclusionMasks()
    place = 0
    for k, offset, length in covered:
        tracklets[k].occlusion.parts[offset] = data[place : place + length]
        place += length
    for k, offset in hidden:
        tracklets[k].occlusion.whole.add(offset)


def unusable(landmarks: Landmarks | None) -> str:
    """Why no mouth should be drawn on this face, or an empty string."""
    if landmarks is None:
        return "no face"
    if np.linalg.norm(landmarks[33] - landmarks[263]) < SMALLEST_EYES:
        return "face too small"
    if abs(head_turn(landmarks)) > WIDEST_TURN:
        return "face turned away"
    return ""


def _stretches(codes: NDArray[np.uint8], reasons: Sequence[str]) -> list[FrameSpan]:
    """Codes (N,), one a frame, 0 or 1 + the place of its reason, as stretches of equal ones."""
    edges = np.flatnonzero(np.diff(codes, prepend=0, append=0))
    parts = [(int(a), int(b) - 1) for a, b in pairwise(edges) if codes[a]]
    return [FrameSpan(first, last, reasons[codes[first] - 1]) for first, last in parts]
