"""In how many frames does `--occlusion auto` find what is before the mouth, and how much of it inside the face?

It makes the table of painted occluders in docs/results/inference.md. The table's first line counts false finds on
untouched frames.

    python experiments/occlusion_detection.py FOLDER_OF_CLIPS

Takes every fourth of the first 100 frames of each video, as it is and with an occluder painted into the last fifth of
them. A frame counts as found when more than half of the occluder inside the face is covered.
Letters: S side of the crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line
from dithead.inference.analyse.occlusion import finding_in
from dithead.inference.analyse.occlusion_colour import inside
from dithead.inference.analyse.occlusion_masks import OcclusionCollector
from dithead.media.video import read_frames
from dithead.types import RGB
from shared import make_parser, print_table

SIZE = 160  # pixels, side of the crop
FRAMES, EVERY = 100, 4

Points = NDArray[np.float32]  # (478, 2) in crop pixels
Canvas = NDArray[np.uint8]  # (S, S), 1 where the occluder is
Crop = tuple[RGB, Points]


def pixel(point: NDArray[np.floating]) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def ball(canvas: Canvas, centre: Points, radius: float) -> None:
    cv2.circle(canvas, pixel(centre), int(radius), 1, -1)


def rod(canvas: Canvas, start: Points, end: Points, thickness: float) -> None:
    cv2.line(canvas, pixel(start), pixel(end), 1, int(thickness))


def microphone_beside(canvas: Canvas, points: Points, mouth: Points, width: float) -> None:
    ball(canvas, 0.1 * mouth + 0.9 * points[152] - (0.75 * width, 0), 0.6 * width)


def microphone_below(canvas: Canvas, points: Points, mouth: Points, width: float) -> None:
    ball(canvas, 0.05 * mouth + 0.95 * points[152], 0.36 * width)


def straw(canvas: Canvas, points: Points, _mouth: Points, width: float) -> None:
    rod(canvas, points[14], points[14] + (0.6 * width, 2.2 * width), 4)


def headset(canvas: Canvas, points: Points, _mouth: Points, width: float) -> None:
    rod(canvas, points[291] + (0.1 * width, 0.3 * width), points[454] + (0.3 * width, 0), 4)


def ellipse(canvas: Canvas, _points: Points, mouth: Points, width: float) -> None:
    cv2.ellipse(canvas, pixel(mouth), pixel(np.array((0.62 * width, 0.36 * width))), 20, 0, 360, 1, -1)


def finger(canvas: Canvas, points: Points, _mouth: Points, width: float) -> None:
    rod(canvas, points[0] - (0.1 * width, 0), points[17] + (0.2 * width, 1.6 * width), 0.45 * width)


# Name -> (painter, whether it has the colour of the person's cheek; otherwise it is nearly black). A painter gets the
# canvas, the landmarks, the middle of the mouth and its width in pixels.
OCCLUDERS: dict[str, tuple[Callable[[Canvas, Points, Points, float], object], bool]] = {
    "microphone beside the lips": (microphone_beside, False),
    "microphone before the chin": (microphone_below, False),
    "straw, 4 pixels of 160": (straw, False),
    "headset's boom, 4 pixels": (headset, False),
    "ellipse of skin on the lips": (ellipse, True),
    "finger of skin on the lips": (finger, True),
}


def read_crops(path: Path) -> list[Crop]:
    """Return aligned crops (S, S, 3) with their landmarks."""
    crops = []
    with FaceLandmarker() as landmarker:
        for frame in islice(read_frames(path), FRAMES):
            face = landmarker.track(frame.quick_pixels)
            if face is not None and frame.index % EVERY == 0:
                transform = crop_transform(face, SIZE)
                crops.append((warp_crop(frame.quick_pixels, transform, SIZE), transform_points(face, transform)))
    return crops


def paint(crop: RGB, points: Points, name: str) -> tuple[RGB, NDArray[np.bool_]]:
    """Return the crop with an occluder painted into it, and where it is (S, S)."""
    painter, of_skin = OCCLUDERS[name]
    canvas, mouth = np.zeros((SIZE, SIZE), np.uint8), points[[61, 291]].mean(axis=0)
    painter(canvas, points, mouth, float(np.linalg.norm(points[61] - points[291])))
    x, y = pixel(points[50])
    cheek = cv2.resize(crop[y - 6 : y + 6, x - 6 : x + 6], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    colour = cheek if of_skin else np.full_like(crop, 17)
    soft = cv2.GaussianBlur(np.where(canvas[..., None] > 0, colour, crop), (0, 0), 0.6)
    return np.where(canvas[..., None] > 0, soft, crop), canvas > 0


def covered(frames: Sequence[Crop]) -> list[NDArray[np.float32]]:
    """Return for each frame the share (S, S) of the generated mouth that the detector would hold back."""
    collector, nothing = OcclusionCollector(), np.zeros((SIZE, SIZE), bool)
    for crop, points in frames:
        collector.add(finding_in(crop, points, nothing))
    masks = collector.close()
    free = [masks.visible(k, SIZE) for k in range(len(frames))]
    return [np.zeros((SIZE, SIZE), np.float32) if mask is None else 1 - mask for mask in free]


def measure(path: Path) -> dict[str, list[float]]:
    """Return for each occluder, and for none, the share of it that is found in each frame."""
    frames = read_crops(path)
    shares = {"nothing painted": [float(cover.max() > 0) for cover in covered(frames)]}
    late = len(frames) - len(frames) // 5
    for name in OCCLUDERS:
        painted = [paint(crop, points, name) for crop, points in frames[late:]]
        with_occluder = [(crop, points) for (crop, _), (_, points) in zip(painted, frames[late:], strict=True)]
        shares[name] = []
        masks = covered([*frames[:late], *with_occluder])[late:]
        for cover, (_, where), (_, points) in zip(masks, painted, frames[late:], strict=True):
            in_face = where & inside(jaw_line(points), SIZE)
            shares[name].append(float((cover[in_face] > 0.5).mean()))
    return shares


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("clips", type=Path, help="folder of videos, .mp4 or .mpg")
    options = parser.parse_args()
    total: dict[str, list[float]] = {}
    for clip in sorted(p for p in options.clips.iterdir() if p.suffix in (".mp4", ".mpg")):
        for name, shares in measure(clip).items():
            total.setdefault(name, []).extend(shares)
            print(f"{clip.stem}: {name}: {np.mean(shares):.2f}", flush=True)
    lines = [
        [name, f"{np.mean([share > 0.5 for share in shares]):.0%} of {len(shares)} frames", f"{np.mean(shares):.0%}"]
        for name, shares in total.items()
    ]
    print_table(["occluder", "found in", "of it covered, inside the face"], lines)


if __name__ == "__main__":
    main()
