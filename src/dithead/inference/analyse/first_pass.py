"""Makes the first pass over the video: finds the faces to draw on, and the reason wherever there is none.

Frames come one at a time and only a few numbers of each are kept, see ``tracklet``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.landmarks import SMALLEST_EYES, FaceLandmarker
from dithead.face.mesh_indices import eye_distance
from dithead.face.pose import head_turn
from dithead.face.tracking import LONGEST_GAP, track_faces
from dithead.inference.ahead import ahead
from dithead.inference.analyse.face_pictures import FacePlace
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.multi_face import FaceChoice, follow_faces
from dithead.inference.analyse.occlusion import BLURRED, HIDDEN, OcclusionDetector, OcclusionFinding
from dithead.inference.analyse.occlusion_schedule import MouthView, OcclusionSchedule
from dithead.inference.analyse.tracklet import Tracklet, TrackletBuilder
from dithead.inference.result import FrameSpan
from dithead.media.video import VideoFrame
from dithead.progress import plural
from dithead.stages import stage
from dithead.types import Landmarks, MaskKind, RGBLike

WIDEST_TURN = 0.72
"""Sine of the yaw above which half the mouth is out of sight (our choice)."""
DAMAGED = "damaged in the source; the last good frame is shown"
_TRACKED_AHEAD = 8  # frames, at most, that wait to be looked at closely (our choice)
_WITHIN_TRACKLETS = (HIDDEN, BLURRED)  # reasons not to draw on a face that is still tracked
_REASONS = (*_WITHIN_TRACKLETS, "face turned away", "face too small", "no face")  # the most specific one first


@dataclass
class VideoAnalysis:
    """What the first pass found in a video of N frames."""

    stamps: NDArray[np.int64]  # (N,) time stamps in the source's time base
    tracklets: list[Tracklet]
    passed_through: list[FrameSpan]
    damaged: list[FrameSpan] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # what of the source was changed for display, or is odd

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return len(self.stamps)

    @property
    def faces_missed(self) -> int:
        """How many frames pass through without a drawn mouth."""
        return sum(s.last - s.first + 1 for s in self.passed_through)

    def tracklets_at(self, index: int) -> list[Tracklet]:
        """Return the tracklets that cover frame ``index``: one for each face."""
        return [tracklet for tracklet in self.tracklets if tracklet.start <= index < tracklet.stop]


@dataclass(frozen=True)
class AnalysisSettings:
    """What the first pass must know of the model and of the options.

    Args:
        size: Crop side S of the model that will draw the mouths.
        mask: The kind of mask that model was trained with.
        choice: Which faces to follow. None follows the largest face of each shot, several times as quickly as any
            other choice, which has to look for all faces in every frame.
        hide_talking: Only frames with closed lips may lend references, detail and calibration.
    """

    size: int
    mask: MaskKind = "stable-polygon"
    choice: FaceChoice | None = None
    hide_talking: bool = False


def analyse_video(
    frames: Iterable[VideoFrame],
    settings: AnalysisSettings,
    *,
    landmarker: FaceLandmarker | None = None,
    detector: OcclusionDetector | None = None,
    store: ImageStore | None = None,
) -> VideoAnalysis:
    """Track the chosen faces through all frames, on a thread of its own, while earlier ones are looked at closely.

    Args:
        frames: The video's frames in order.
        settings: The model's crop and mask, and the choice of faces.
        landmarker: A face landmarker to use; a new one by default.
        detector: Finds what hides the mouth; without one, nothing is taken for an occluder.
        store: Where reference pictures are kept; in memory by default.

    Returns:
        The tracklets, and the frames without a usable face with their reasons.

    Raises:
        FaceError: No frame has a usable face.
    """
    analyser = VideoAnalyser(settings, detector, store)
    with closing(ahead(_tracked(frames, settings.choice, landmarker), _TRACKED_AHEAD, "track")) as tracked:
        for item in tracked:
            analyser.picture = item.picture
            analyser.step(item.frame, item.faces, item.shot)
    return analyser.finish()


class _Tracked(NamedTuple):
    """A frame in which the chosen faces have been found."""

    frame: VideoFrame
    picture: RGBLike
    faces: dict[int, Landmarks | None]  # (478, 3) by the number of the face
    shot: int


def _tracked(
    frames: Iterable[VideoFrame], choice: FaceChoice | None, landmarker: FaceLandmarker | None
) -> Iterator[_Tracked]:
    """Find the faces of each frame."""
    current: list[tuple[VideoFrame, RGBLike]] = []

    def pixels() -> Iterator[RGBLike]:
        for frame in frames:
            current[:] = [(frame, frame.quick_partial)]
            yield current[0][1]

    def new_size() -> bool:
        return current[0][0].new_size

    if choice is None:
        for seen in track_faces(pixels(), landmarker, new_size):
            yield _Tracked(*current[0], {0: seen.landmarks}, seen.shot)
    else:
        for faces, shot in follow_faces(pixels(), choice, landmarker, new_size):
            yield _Tracked(*current[0], faces, shot)


class VideoAnalyser:
    """Takes the landmarks of one frame after the other and makes tracklets of them."""

    def __init__(
        self, settings: AnalysisSettings, detector: OcclusionDetector | None = None, store: ImageStore | None = None
    ) -> None:
        self.settings, self.detector = settings, detector
        self.store = ImageStore() if store is None else store
        self.picture: RGBLike | None = None  # of the present frame
        self.stamps = array("q")
        self.shot_start = 0
        self.shot = 0
        self.open: dict[int, TrackletBuilder] = {}
        self.schedules: dict[int, OcclusionSchedule] = {}  # by face, where occluders are looked for
        self.tracklets: list[Tracklet] = []
        self.missed = bytearray()  # for each frame 0, or 1 + the index of its reason in ``_REASONS``
        self.damaged = bytearray()  # for each frame 0 or 1
        self.remarks: dict[str, None] = {}  # in the order in which they came

    def step(self, frame: VideoFrame, faces: dict[int, Landmarks | None], shot: int) -> None:
        """Take one more frame.

        Args:
            frame: The frame.
            faces: Landmarks (478, 3) of each chosen face by its number; None where it is not seen in this frame.
            shot: Number of the shot, which grows at every cut.
        """
        index = len(self.stamps)
        if shot != self.shot:
            self._close(list(self.open), at_cut=True)
            self.shot, self.shot_start = shot, index
        reasons = [self._take(index, number, frame, faces.get(number)) for number in faces.keys() | self.open.keys()]
        worst = min(map(_REASONS.index, reasons), default=len(_REASONS) - 1) if all(reasons) else -1
        self.missed.append(1 + worst)
        self.damaged.append(frame.damaged)
        if frame.remark:
            self.remarks[frame.remark] = None
        self.stamps.append(frame.pts)

    def finish(self) -> VideoAnalysis:
        """Close all tracklets and return the analysis of the frames so far. Raises FaceError when there is none."""
        self._close(list(self.open), at_cut=True)
        missed = np.frombuffer(self.missed, np.uint8)
        if not self.tracklets:
            reason = _REASONS[int(np.bincount(missed, minlength=2)[1:].argmax())]
            frames = plural(len(self.stamps), "frame")
            raise FaceError(f"no usable face in any of its {frames} ({reason}); {_advice(reason)}")
        for tracklet in self.tracklets:
            part = missed[tracklet.start : tracklet.stop]
            part[part > len(_WITHIN_TRACKLETS)] = 0  # the face was away for a moment only, and the gap is bridged
        self._report_hidden(missed)
        self._require_drawn(missed)
        damaged = np.frombuffer(self.damaged, np.uint8)
        stamps = np.frombuffer(self.stamps, np.int64)
        passed, bad = _spans(missed, _REASONS), _spans(damaged, (DAMAGED,))
        return VideoAnalysis(stamps, self.tracklets, passed, bad, list(self.remarks))

    def _report_hidden(self, missed: NDArray[np.uint8]) -> None:
        """Mark frames in which every mouth turned out to be hidden only when its whole tracklet was known."""
        drawn, hidden = np.zeros(len(missed), bool), np.zeros(len(missed), bool)
        for tracklet in self.tracklets:
            whole = np.zeros(tracklet.stop - tracklet.start, bool)
            whole[[k for k in tracklet.occlusion.hidden if k < len(whole)]] = True
            hidden[tracklet.start : tracklet.stop] |= whole
            drawn[tracklet.start : tracklet.stop] |= ~whole
        missed[hidden & ~drawn & (missed == 0)] = 1 + _REASONS.index(HIDDEN)

    def _require_drawn(self, missed: NDArray[np.uint8]) -> None:
        """Raise FaceError where no mouth would be drawn at all: then the reason is as likely wrong as right."""
        if not missed.all():
            return
        reason = _REASONS[int(np.bincount(missed, minlength=2)[1:].argmax())]
        hint = "; --occlusion off draws it all the same" if reason in _WITHIN_TRACKLETS else ""
        raise FaceError(f"no mouth can be drawn in any of its {len(missed)} frames ({reason}{hint})")

    def _take(self, index: int, number: int, frame: VideoFrame, landmarks: Landmarks | None) -> str:
        """Add a frame to a face's tracklet; returns why it cannot be drawn on, or an empty string."""
        reason = unusable(landmarks)
        if landmarks is not None and not reason:
            if number not in self.open:
                self.open[number] = TrackletBuilder(index, number, self.settings.mask, self.settings.hide_talking)
            place = FacePlace.of(landmarks, self.settings.size)
            with stage("samples"):
                self.open[number].add(frame, landmarks, place)
            return self._occluders(index, number, place)
        if number in self.open:
            self._settle(number)
            self.open[number].skip()
            if self.open[number].gap > LONGEST_GAP:
                self._close([number], at_cut=False)
        return reason

    def _occluders(self, index: int, number: int, place: FacePlace) -> str:
        """Search the present frame for occluders, now or later; returns the reason if one is known now."""
        if self.detector is None or self.picture is None:
            return ""
        detector, view = self.detector, MouthView(self.picture, place.points, place.transform, place.size)
        if number not in self.schedules:
            self.schedules[number] = OcclusionSchedule(lambda v: detector.find(*v, number))
        return self._judge(number, self.schedules[number].take(view)).get(index, "")

    def _settle(self, number: int) -> None:
        """Search what is left to search of a face's frames so far."""
        if number in self.schedules:
            self._judge(number, self.schedules[number].close())

    def _judge(self, number: int, findings: list[OcclusionFinding]) -> dict[int, str]:
        """Hand findings to a face's tracklet; returns the reasons not to draw by the number of the frame."""
        builder, reasons = self.open[number], {}
        for finding in findings:
            index = builder.start + builder.judge(finding)
            if finding.reason:
                reasons[index] = finding.reason
                if index < len(self.missed) and len(self.open) == 1:  # an earlier frame, so far taken for a free one
                    self.missed[index] = self.missed[index] or 1 + _REASONS.index(finding.reason)
        return reasons

    def _close(self, numbers: list[int], at_cut: bool) -> None:
        for number in numbers:
            self._settle(number)
            self.schedules.pop(number, None)
            builder = self.open.pop(number)
            fades_in, fades_out = builder.start != self.shot_start, not (at_cut and builder.gap == 0)
            with stage("references"):
                self.tracklets.append(builder.close(self.settings.size, fades_in, fades_out, self.store))


def _advice(reason: str) -> str:
    """What to give instead of a source that shows no usable face."""
    if reason == "face too small":
        return f"give one that shows the face larger, with {SMALLEST_EYES:g} pixels between the eyes"
    return "give one that looks into the camera" if reason == "face turned away" else "give a video that shows a face"


def unusable(landmarks: Landmarks | None) -> str:
    """Return why no mouth should be drawn on a face with these landmarks (478, 3), or an empty string."""
    if landmarks is None:
        return "no face"
    if eye_distance(landmarks) < SMALLEST_EYES:
        return "face too small"
    if abs(head_turn(landmarks)) > WIDEST_TURN:
        return "face turned away"
    return ""


def _spans(codes: NDArray[np.uint8], reasons: Sequence[str]) -> list[FrameSpan]:
    """Codes (N,), one a frame, 0 or 1 + the index of its reason, as spans of equal ones."""
    edges = np.flatnonzero(np.diff(codes, prepend=0, append=0))
    parts = [(int(a), int(b) - 1) for a, b in pairwise(edges) if codes[a]]
    return [FrameSpan(first, last, reasons[codes[first] - 1]) for first, last in parts]
