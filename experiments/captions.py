"""How often are burned-in words found on faces, by colour, size and paleness of the skin?

    python experiments/captions.py VIDEO ...

One frame of each video gets the words of ``dithead synth --captions`` over the chin, as JPEG of quality 70, once as it
is and once brightened until the cheeks are nearly white. Frames without words are looked at, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line, polygon_mask
from dithead.face.mesh_indices import CHEEKS
from dithead.inference.analyse.overlays import overlay_mask
from dithead.media.video import read_frames
from dithead.synth.corpus.difficulties import burn_in, caption
from shared import make_parser, print_table

SIDE, FRAME = 160, 20  # of the crop, and number of the frame that is looked at
COLOURS = {"yellow": (255, 220, 0), "white": (255, 255, 255), "green": (120, 255, 90)}
SIZES = {"large": 1.0, "small": 0.5, "tiny": 0.4}  # of words as wide as a picture in which a face takes 45 %
PALE = (243, 222, 208)
FOUND = 0.8  # share of the words' pixels on the face


def faces(videos: list[Path]) -> Iterator[tuple[Any, Any]]:
    """Yield a picture (H, W, 3) and the landmarks of its face, for each video."""
    with FaceLandmarker() as landmarker:
        for video in videos:
            for frame in islice(read_frames(video), FRAME, FRAME + 1):
                for face in landmarker.detect(frame.pixels)[:1]:
                    yield frame.pixels, face


def brightened(picture: Any, face: Any) -> Any:
    """Scale the colours so that the cheeks become ``PALE``."""
    points = np.rint(face[list(CHEEKS), :2]).astype(int).clip(0, np.array(picture.shape[1::-1]) - 1)
    cheeks = np.median(picture[points[:, 1], points[:, 0]], axis=0)
    return np.clip(picture * (np.array(PALE) / cheeks), 0, 255).astype(np.uint8)


def share_found(picture: Any, face: Any, colour: str, size: float, *, edged: bool) -> float:
    """Burn words into a picture and return the share of them on the face that is found."""
    height, whole = picture.shape[:2]
    width = int(min(whole, 2.2 * np.ptp(face[:, 0])) * size)
    ink, edge = caption("so stay with us", width)
    left = int(np.clip(face[152, 0] - width // 2, 0, whole - width))
    shown, words = picture.copy(), np.zeros((height, whole), np.uint8)
    top = int(face[152, 1]) - round(0.75 * len(ink))
    strip = picture[:, left : left + width]
    burned, where = burn_in(strip, ink, edge if edged else ink, np.array(COLOURS[colour], np.float32), top)
    shown[:, left : left + width], words[:, left : left + width] = burned, where
    shown = cv2.imdecode(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)
    move = crop_transform(face, SIDE)
    points = transform_points(face, move).astype(np.float32)
    truth = (cv2.warpAffine(words, move, (SIDE, SIDE)) > 0) & (polygon_mask(jaw_line(points), SIDE) > 0.5)
    found = overlay_mask(warp_crop(np.asarray(shown), move, SIDE), points)
    return float((found & truth).sum() / max(1, truth.sum()))


def main() -> None:
    """Print one line for each colour, size and skin."""
    parser = make_parser(__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    seen, falsely, shares = 0, 0, defaultdict(list)
    for picture, face in faces(parser.parse_args().videos):
        move = crop_transform(face, SIDE)
        seen += 1
        falsely += bool(overlay_mask(warp_crop(picture, move, SIDE), transform_points(face, move)).any())
        for (skin, shown), colour, size, edged in product(
            {"own": picture, "pale": brightened(picture, face)}.items(), COLOURS, SIZES, (False, True)
        ):
            shares[colour, size, skin].append(share_found(shown, face, colour, SIZES[size], edged=edged))
    print_table(["words", "size", "skin", "found"],
                [[*k, f"{sum(s > FOUND for s in v)} of {len(v)}"] for k, v in shares.items()])  # fmt: skip
    print(f"\nfound without words: {falsely} of {seen}")


if __name__ == "__main__":
    main()
