"""Jitter and lips of outputs beside the source: python experiments/jitter.py SOURCE OUTPUT...

Jitter is the mean acceleration of six landmarks of the mouth in the aligned crop; lips are their opening.
"""

from __future__ import annotations

import sys

import numpy as np

from dithead.face.alignment import crop_transform, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_aperture
from dithead.face.tracking import track_faces
from dithead.media.video import read_frames

_MOUTH = [61, 291, 0, 17, 13, 14]


def observe(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Lip opening (N,) and points of the mouth (N, 6, 2) in eye distances."""
    opening, points = [], []
    with FaceLandmarker() as landmarker:
        for seen in track_faces((f.quick_pixels for f in read_frames(path)), landmarker):
            face = seen.landmarks
            there = None if face is None else transform_points(face, crop_transform(face, 256))[_MOUTH] / 105
            points.append(np.full((6, 2), np.nan) if there is None else there)
            opening.append(np.nan if face is None else lip_aperture(face))
    return np.array(opening), np.array(points)


if __name__ == "__main__":
    truth, _ = observe(sys.argv[1])
    for path in sys.argv[2:]:
        lips, mouth = observe(path)
        jitter = np.nanmean(np.linalg.norm(np.diff(mouth, 2, axis=0), axis=2))
        count = min(len(truth), len(lips))
        fine = np.isfinite(truth[:count]) & np.isfinite(lips[:count])
        r = np.corrcoef(truth[:count][fine], lips[:count][fine])[0, 1]
        print(f"{path}: jitter {jitter:.5f}, opening's deviation {np.nanstd(lips):.4f}, correlation {r:.3f}")
