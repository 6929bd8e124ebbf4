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
from dithead.face.mesh_indices import eye_distance
from dithead.face.pose import head_turn
from dithead.face.tracking import LONGEST_GAP, track_faces
from dithead.inference.analyse.image_store import Shelf, Slot
from dithead.inference.analyse.multi_face import Choice, follow_faces
from dithead.inference.analyse.occlusion import BLURRED, HAUNTED, HIDDEN, Covers, Look, Lookout
from dithead.inference.analyse.references import Mouths
from dithead.inference.analyse.tracklet import OpenRun, Run
from dithead.inference.result import Stretch
from dithead.inference.synthesise.lip_calibration import Habit, habit_of, own_sound
from dithead.media.files import save_arrays
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, MaskKind

if TYPE_CHECKING:
    from dithead.inference.source.timeline import Clip
    from dithead.models.talking_head import TalkingHead

SMALLEST_EYES = 16.0  # pixels between the outer eye corners; below, there is no mouth to draw
WIDEST_TURN = 0.72  # |yaw| from which half the mouth is hidden


@dataclass
class Survey:
    """What the first pass found."""

    stamps: NDArray[np.int64]  # (N,) time stamps of all frames
    runs: list[Run]
    passed_through: list[Stretch]
    damaged: list[Stretch] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def faces_missed(self) -> int:
        return sum(s.last - s.first + 1 for s in self.passed_through)

    def runs_at(self, index: int) -> list[Run]:
        """The runs that cover a frame: one for each face."""
        return [run for run in self.runs if run.start <= index < run.stop]

    def learn_habits(self, talker: TalkingHead, clip: Clip, store: Path) -> None:
        """Hear in the source's own sound, where it has any, how each run's person speaks; it is kept in ``store``."""
        sound = own_sound(talker, clip.path, store) if clip.info.has_audio else None
        if sound is None:
            return
        for run in self.runs:
            run.habit = habit_of(talker, sound, run.moments + clip.start)

    def save(self, path: Path) -> None:
        """Write an .npz; the file appears whole or not at all."""
        spans = [(r.start, r.stop, r.fades_in, r.fades_out, r.face) for r in self.runs]
        mouths = [r.mouths for r in self.runs if r.mouths is not None]
        reports = [[(s.first, s.last, s.reason) for s in part] for part in (self.passed_through, self.damaged)]
        save_arrays(
            path,
            stamps=self.stamps,
            spans=np.array(spans, np.int64),
            transforms=np.concatenate([r.transforms for r in self.runs]),
            polygons=np.stack([r.polygon for r in self.runs]),
            lips=np.stack([r.lips for r in self.runs]),
            openings=np.array([r.opening for r in self.runs]),
            cheeks=np.stack([r.cheeks for r in self.runs if r.cheeks is not None]),
            references=np.stack([r.reference for r in self.runs]),
            habits=np.array([(k, r.habit.spread, *r.habit.told) for k, r in enumerate(self.runs) if r.habit]),
            mouths=np.array([(m.usual, m.slot.offset, len(m.openings)) for m in mouths]),
            mouth_openings=np.concatenate([m.openings for m in mouths]),
            mouth_moves=np.concatenate([m.moves for m in mouths]),
            mouth_lengths=np.concatenate([np.reshape(m.slot.lengths, (2, -1)).T for m in mouths]),
            jaws=np.concatenate([r.jaws for r in self.runs if r.jaws is not None]),
            outlines=np.concatenate([np.zeros((0, 2)) if r.outlines is None else r.outlines for r in self.runs]),
            covers=np.frombuffer(b"".join(data for r in self.runs for data in r.covers.parts.values()), np.uint8),
            covered=np.array([(k, i, len(d)) for k, r in enumerate(self.runs) for i, d in r.covers.parts.items()]),
            hidden=np.array([(k, i) for k, r in enumerate(self.runs) for i in sorted(r.covers.whole)]),
            haunted=np.array([list(r.covers.haunted.ljust(HAUNTED, b"\0")) for r in self.runs], np.uint8),
            reports=np.array(json.dumps(reports)),
        )

    @staticmethod
    def load(path: Path, shelf: Shelf) -> Survey:
        """Read what ``save`` wrote; the pictures stay on ``shelf``."""
        with np.load(path, allow_pickle=False) as data:
            spans = data["spans"].tolist()
            cuts = np.cumsum([stop - start for start, stop, *_ in spans])[:-1]
            moves = np.split(data["transforms"], cuts)
            runs = [
                Run(start, stop, m, polygon, lips, reference, bool(fades_in), bool(fades_out), face)
                for (start, stop, fades_in, fades_out, face), m, polygon, lips, reference in zip(
                    spans, moves, data["polygons"], data["lips"], data["references"], strict=True
                )
            ]
            rest = zip(runs, np.split(data["jaws"], cuts), data["openings"].tolist(), data["cheeks"], strict=True)
            for run, jaws, opening, cheeks in rest:
                run.jaws, run.opening, run.cheeks = jaws, opening, cheeks
            if len(data["outlines"]):
                for run, outlines in zip(runs, np.split(data["outlines"], cuts), strict=True):
                    run.outlines = outlines
            kept = data["mouths"]
            each = (np.split(data[f"mouth_{name}"], np.cumsum(kept[:-1, 2]).astype(int)) for name in _OF_MOUTHS)
            for run, (usual, offset, _), openings, places, lengths in zip(runs, kept, *each, strict=True):
                slot = Slot(int(offset), tuple(lengths.T.ravel().tolist()))
                run.mouths = Mouths(shelf, slot, openings, float(usual), places)
            for k, spread, *told in data["habits"].tolist():
                runs[int(k)].habit = Habit(np.array(told, np.float32), spread)
            _load_covers(runs, data["covers"].tobytes(), data["covered"].tolist(), data["hidden"].tolist())
            for run, haunted in zip(runs, data["haunted"], strict=True):
                run.covers.haunted = haunted.tobytes() if haunted.any() else b""
            passed, damaged = ([Stretch(*item) for item in part] for part in json.loads(str(data["reports"])))
            return Survey(data["stamps"], runs, passed, damaged)


def survey(
    frames: Iterable[VideoFrame],
    size: int,
    choice: Choice | None = None,
    landmarker: FaceLandmarker | None = None,
    lookout: Lookout | None = None,
    mask: MaskKind = "stable-polygon",
    shelf: Shelf | None = None,
) -> Survey:
    """Track the chosen faces through all frames; raise ``FaceError`` when no frame has a usable one.

    size: crop side S of the model that will draw the mouths.  choice: None follows the largest face of each shot,
    several times as quick as any other choice, which has to look for all faces in every frame.  lookout: finds
    what hides the mouth; without one nothing is taken to.  mask: the kind that model learned with.  shelf: where
    pictures of the mouths are kept; in memory without one.
    """
    surveyor = Surveyor(size, lookout, mask, shelf)
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


class Surveyor:
    """Takes what was seen frame by frame and makes runs of it."""

    def __init__(
        self,
        size: int,
        lookout: Lookout | None = None,
        mask: MaskKind = "stable-polygon",
        shelf: Shelf | None = None,
    ) -> None:
        self.size, self.lookout, self.mask = size, lookout, mask
        self.shelf = Shelf() if shelf is None else shelf
        self.picture: RGB | None = None  # of the present frame
        self.stamps = array("q")
        self.shot_start = 0
        self.shot = 0
        self.open: dict[int, OpenRun] = {}
        self.runs: list[Run] = []
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

    def finish(self) -> Survey:
        """What the frames so far amount to."""
        self._close(list(self.open), at_cut=True)
        missed = np.frombuffer(self.missed, np.uint8)
        if not self.runs:
            why = _ORDER[int(np.bincount(missed, minlength=2)[1:].argmax())]
            raise FaceError(f"no usable face in any of its {len(self.stamps)} frames ({why})")
        for run in self.runs:
            part = missed[run.start : run.stop]
            part[part > len(_IN_RUNS)] = 0  # bridged: the face was away for a moment only
        self._report_hidden(missed)
        damaged = np.frombuffer(self.damaged, np.uint8)
        stamps = np.frombuffer(self.stamps, np.int64)
        return Survey(stamps, self.runs, _stretches(missed, _ORDER), _stretches(damaged, (DAMAGED,)))

    def _report_hidden(self, missed: NDArray[np.uint8]) -> None:
        """Frames in which every mouth turned out to be hidden only when its whole run was known."""
        drawn, hidden = np.zeros(len(missed), bool), np.zeros(len(missed), bool)
        for run in self.runs:
            whole = np.zeros(run.stop - run.start, bool)
            whole[[k for k in run.covers.whole if k < len(whole)]] = True
            hidden[run.start : run.stop] |= whole
            drawn[run.start : run.stop] |= ~whole
        missed[hidden & ~drawn & (missed == 0)] = 1 + _ORDER.index(HIDDEN)

    def _see(self, index: int, number: int, frame: VideoFrame, landmarks: Landmarks | None) -> str:
        """Add a frame to a face's run; returns why it cannot be drawn on, or an empty string."""
        reason = unusable(landmarks)
        if landmarks is not None and not reason:
            if number not in self.open:
                self.open[number] = OpenRun(index, number, self.mask)
            look = self._look(number, landmarks)
            self.open[number].add(frame, landmarks, self.size, look)
            return look.reason
        if number in self.open:
            self.open[number].skip()
            if self.open[number].gap > LONGEST_GAP:
                self._close([number], at_cut=False)
        return reason

    def _look(self, number: int, landmarks: Landmarks) -> Look:
        if self.lookout is None or self.picture is None:
            return Look()
        move = crop_transform(landmarks, self.size)
        return self.lookout.look(self.picture, transform_points(landmarks, move), move, self.size, number)

    def _close(self, numbers: list[int], at_cut: bool) -> None:
        for number in numbers:
            run = self.open.pop(number)
            fades_out = not (at_cut and run.gap == 0)
            self.runs.append(run.close(self.size, run.start != self.shot_start, fades_out, self.shelf))


_OF_MOUTHS = ("openings", "moves", "lengths")
DAMAGED = "damaged in the source; the last good frame is shown"
_IN_RUNS = (HIDDEN, BLURRED)  # the face is followed all the same
_ORDER = (*_IN_RUNS, "face turned away", "face too small", "no face")  # the most telling reason first


def _load_covers(runs: list[Run], data: bytes, covered: list[list[int]], hidden: list[list[int]]) -> None:
    for run in runs:
        run.covers = Covers()
    place = 0
    for k, offset, length in covered:
        runs[k].covers.parts[offset] = data[place : place + length]
        place += length
    for k, offset in hidden:
        runs[k].covers.whole.add(offset)


def unusable(landmarks: Landmarks | None) -> str:
    """Why no mouth should be drawn on this face, or an empty string."""
    if landmarks is None:
        return "no face"
    if eye_distance(landmarks) < SMALLEST_EYES:
        return "face too small"
    if abs(head_turn(landmarks)) > WIDEST_TURN:
        return "face turned away"
    return ""


def _stretches(codes: NDArray[np.uint8], reasons: Sequence[str]) -> list[Stretch]:
    """Codes (N,), one a frame, 0 or 1 + the place of its reason, as stretches of equal ones."""
    edges = np.flatnonzero(np.diff(codes, prepend=0, append=0))
    parts = [(int(a), int(b) - 1) for a, b in pairwise(edges) if codes[a]]
    return [Stretch(first, last, reasons[codes[first] - 1]) for first, last in parts]
