"""How steady is a generated mouth, and does it still follow the source's lips?

It makes the figures on `--interpolate` in docs/results/inference.md.

    python experiments/jitter.py SOURCE OUTPUT...

Jitter is the mean acceleration of six landmarks of the mouth in the aligned crop, in eye distances per frame squared.
The lip opening is relative to the eye distance; its correlation is taken with the source's, frame by frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import EYE_DISTANCE, crop_transform, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening
from dithead.face.tracking import track_faces
from dithead.media.video import read_frames
from shared import make_parser, print_table

MOUTH = [61, 291, 0, 17, 13, 14]  # FaceMesh: both corners, outer and inner lips in the middle

Numbers = NDArray[np.float64]


def track_mouth(path: Path) -> tuple[Numbers, Numbers]:
    """Return the lip opening (N,) and the mouth's landmarks (N, 6, 2) in eye distances; NaN where no face is found."""
    openings, points = [], []
    with FaceLandmarker() as landmarker:
        for tracked in track_faces((frame.quick_pixels for frame in read_frames(path)), landmarker):
            face = tracked.landmarks
            if face is None:
                openings.append(np.nan)
                points.append(np.full((len(MOUTH), 2), np.nan))
            else:
                openings.append(lip_opening(face))
                points.append(transform_points(face, crop_transform(face, 1))[MOUTH] / EYE_DISTANCE)
    return np.array(openings), np.array(points)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, help="the video that the outputs were made from")
    parser.add_argument("outputs", type=Path, nargs="+", metavar="OUTPUT")
    options = parser.parse_args()
    truth, _ = track_mouth(options.source)
    lines = []
    for path in options.outputs:
        openings, points = track_mouth(path)
        jitter = np.nanmean(np.linalg.norm(np.diff(points, 2, axis=0), axis=2))
        count = min(len(truth), len(openings))
        known = np.isfinite(truth[:count]) & np.isfinite(openings[:count])
        correlation = np.corrcoef(truth[:count][known], openings[:count][known])[0, 1]
        lines.append([str(path), f"{jitter:.5f}", f"{np.nanstd(openings):.4f}", f"{correlation:.3f}"])
    print_table(["output", "jitter", "deviation of the lip opening", "correlation with the source"], lines)


if __name__ == "__main__":
    main()
