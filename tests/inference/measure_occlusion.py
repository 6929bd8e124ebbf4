"""What ``--occlusion auto`` finds by colour on real clips: python tests/inference/measure_occlusion.py CLIPS.

Looks at every fourth of the first 100 frames of each video in the folder, as it is and with things painted into the
last fifth of them. Prints in how many frames something is found, and how much of it inside the face is covered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line
from dithead.inference.analyse.occlusion import OcclusionCollector, seen_in
from dithead.inference.analyse.occlusion_colour import inside
from dithead.media.video import read_frames

SIZE = 160


def whole(point) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def ball(canvas, centre, radius) -> None:
    cv2.circle(canvas, whole(centre), int(radius), 1, -1)


def rod(canvas, start, end, thick) -> None:
    cv2.line(canvas, whole(start), whole(end), 1, int(thick))


THINGS: dict[str, Callable] = {  # painted by canvas, landmarks p, middle of the mouth m, its width w
    "microphone beside the lips": lambda c, p, m, w: ball(c, 0.1 * m + 0.9 * p[152] - (0.75 * w, 0), 0.6 * w),
    "microphone before the chin": lambda c, p, m, w: ball(c, 0.05 * m + 0.95 * p[152], 0.36 * w),
    "straw, 4 pixels of 160": lambda c, p, m, w: rod(c, p[14], p[14] + (0.6 * w, 2.2 * w), 4),
    "headset's boom, 4 pixels": lambda c, p, m, w: rod(c, p[291] + (0.1 * w, 0.3 * w), p[454] + (0.3 * w, 0), 4),
    "ellipse of skin on the lips": lambda c, p, m, w: cv2.ellipse(
        c, whole(m), whole((0.62 * w, 0.36 * w)), 20, 0, 360, 1, -1
    ),
    "finger of skin on the lips": lambda c, p, m, w: rod(c, p[0] - (0.1 * w, 0), p[17] + (0.2 * w, 1.6 * w), 0.45 * w),
}


def crops(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Crops (S, S, 3) with their landmarks (478, 2)."""
    found = []
    with FaceLandmarker() as finder:
        for frame in islice(read_frames(path), 100):
            face = finder.track(frame.quick_pixels)
            if face is not None and frame.index % 4 == 0:
                move = crop_transform(face, SIZE)
                found.append((warp_crop(frame.quick_pixels, move, SIZE), transform_points(face, move)))
    return found


def painted(crop, points, name: str):
    """The crop with a thing in it, and where it is."""
    canvas, mouth = np.zeros((SIZE, SIZE), np.uint8), points[[61, 291]].mean(axis=0)
    THINGS[name](canvas, points, mouth, float(np.linalg.norm(points[61] - points[291])))
    x, y = whole(points[50])
    skin = cv2.resize(crop[y - 6 : y + 6, x - 6 : x + 6], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    thing = skin if "skin" in name else np.full_like(crop, 17)
    soft = cv2.GaussianBlur(np.where(canvas[..., None] > 0, thing, crop), (0, 0), 0.6)
    return np.where(canvas[..., None] > 0, soft, crop), canvas > 0


def covered(frames) -> list[np.ndarray]:
    """(S, S) of each frame: how much of the drawn mouth would be held back."""
    watch, none = OcclusionCollector(), np.zeros((SIZE, SIZE), bool)
    for crop, points in frames:
        watch.add(seen_in(crop, points, none))
    occlusion = watch.close()
    kept = [occlusion.free(k, SIZE) for k in range(len(frames))]
    return [np.zeros((SIZE, SIZE)) if free is None else 1 - free for free in kept]


def measure(path: Path) -> dict[str, list[float]]:
    frames = crops(path)
    found = {"nothing": [float(cover.max() > 0) for cover in covered(frames)]}
    late = len(frames) - len(frames) // 5
    for name in THINGS:
        made = [painted(crop, points, name) for crop, points in frames[late:]]
        given = frames[:late] + [
            (picture, points) for (picture, _), (_, points) in zip(made, frames[late:], strict=True)
        ]
        shares = []
        for cover, (_, truth), (_, points) in zip(covered(given)[late:], made, frames[late:], strict=True):
            there = truth & inside(jaw_line(points), SIZE)
            shares.append(float((cover[there] > 0.5).mean()))
        found[name] = shares
    return found


if __name__ == "__main__":
    table: dict[str, list[float]] = {}
    for clip in sorted(p for p in Path(sys.argv[1]).iterdir() if p.suffix in (".mp4", ".mpg")):
        for name, shares in measure(clip).items():
            table.setdefault(name, []).extend(shares)
            print(f"{clip.stem}: {name}: {np.mean(shares):.2f}", flush=True)
    for name, shares in table.items():
        seen = np.mean([share > 0.5 for share in shares])
        print(f"| {name} | {seen:.0%} of {len(shares)} frames | {np.mean(shares):.0%} |")
