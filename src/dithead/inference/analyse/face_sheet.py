"""Writes a sheet that shows which face has which number: a still of every shot with its faces numbered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from shlex import quote

import cv2
import numpy as np

from dithead.errors import FaceError
from dithead.face.landmarks import FaceLandmarker, face_box
from dithead.face.tracking import CutDetector
from dithead.inference.analyse.multi_face import FaceChoice, FaceMemory
from dithead.inference.source.timeline import SourceClip
from dithead.media.contact_sheet import require_picture_output, save_picture
from dithead.media.files import printable
from dithead.media.video import probe, read_frames
from dithead.progress import Progress, counted, silent
from dithead.types import RGB, Landmarks

_MOST_SHOTS = 24  # stills on one sheet (our choice)
_WIDTH = 640  # pixels: width of each still


@dataclass(frozen=True)
class ShotFaces:
    """The first frame of a shot that shows a face, and the faces in it by number, as ``face`` counts."""

    shot: int
    time: float
    picture: RGB
    faces: dict[int, Landmarks]


def shots_with_faces(video: str | PathLike[str], progress: Progress = silent) -> Iterator[ShotFaces]:
    """Yield the faces of each shot of a video; ``progress`` is called with the frames looked at."""
    cuts, found = CutDetector(), False
    with FaceLandmarker() as landmarker:
        for frame in counted(read_frames(video), "finding faces", probe(video).frames, progress):
            picture = frame.quick_pixels
            found = not cuts.is_cut(picture, forced=frame.new_size) and found
            if not found and (faces := FaceMemory().step(picture, landmarker.detect(picture))):
                found = True
                yield ShotFaces(cuts.shot, frame.time, picture, faces)


def explain_face_error(error: FaceError, clip: SourceClip, choice: FaceChoice | None) -> FaceError:
    """Add the file's name to an error, and where certain faces were asked for by number, how many there are."""
    path = clip.path
    if choice is not None and choice.kind == "numbers":
        shown = max((len(shot.faces) for shot in shots_with_faces(path)), default=0)
        if shown and min(choice.numbers) > shown:
            asked, kind = ", ".join(map(str, sorted(choice.numbers))), "picture" if clip.info.still else "video"
            return FaceError(
                f"{printable(path)}: no face {asked}; the {kind} shows {shown} "
                f"(to see them: dithead faces {quote(printable(path))} -o faces.png)"
            )
    return FaceError(f"{printable(path)}: {error}")


def write_face_sheet(video: str | PathLike[str], output: str | PathLike[str], *, progress: Progress = silent) -> int:
    """Write a picture with a numbered still of every shot, the first 24 at most.

    Args:
        video: The video.
        output: The picture, whose name ends in .png or .jpg.
        progress: Called with the frames looked at.

    Returns:
        How many faces it shows.

    Raises:
        FaceError: No frame shows a face.
        OutputError: The picture cannot be written, or is the video itself.
    """
    require_picture_output(Path(output), [Path(video)])
    stills, count = [], 0
    for seen in shots_with_faces(video, progress):
        stills.append(_numbered(seen))
        count += len(seen.faces)
        if len(stills) == _MOST_SHOTS:
            break
    if not stills:
        raise FaceError(f"{printable(Path(video))}: no face in any frame; give a video that shows a face")
    save_picture(np.concatenate(stills), output)
    return count


def _numbered(seen: ShotFaces) -> RGB:
    """The still at a common width, with a box and a number on every face."""
    scale = _WIDTH / seen.picture.shape[1]
    size = (_WIDTH, max(1, round(seen.picture.shape[0] * scale)))
    still = np.ascontiguousarray(cv2.resize(seen.picture, size, interpolation=cv2.INTER_AREA))
    for number, face in seen.faces.items():
        x0, y0, x1, y1 = (round(v * scale) for v in face_box(face))
        for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.rectangle(still, (x0, y0), (x1, y1), colour, thickness)
            cv2.putText(still, str(number), (x0, max(24, y0 - 8)), 0, 0.9, colour, thickness, cv2.LINE_AA)
    label = f"shot {seen.shot + 1}  {seen.time:.2f} s"
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(still, label, (8, size[1] - 10), 0, 0.5, colour, thickness, cv2.LINE_AA)
    return still
