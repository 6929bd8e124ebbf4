"""How do the landmarks of a face move when its lips open or widen?

Fits, over all frames of prepared datasets, each landmark's displacement to the lip opening, the lip width, and the turn
and nod of the head, and keeps what opening and width explain, made symmetric. It makes
``src/dithead/face/data/lip_motion.npz``.

    dithead prepare VIDEOS -o DATASET
    python experiments/lip_motion.py DATASET ... --output OUT.npz
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import CHIN, INNER_LIP_BOTTOM, INNER_LIP_TOP, MOUTH_LEFT, MOUTH_RIGHT, eye_distance
from dithead.face.pose import nose_direction
from shared import make_parser

SHORTEST = 25
"""Frames of a clip below which it is left out."""
_SHOWN = {"chin": CHIN, "inner upper lip": INNER_LIP_TOP, "inner lower lip": INNER_LIP_BOTTOM,
          "right corner": MOUTH_RIGHT, "left corner": MOUTH_LEFT}  # fmt: skip


def measured(track: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Return causes (N, 4) and landmarks (N, 478 * 2) of a clip, less their means, and its mean opening."""
    with np.load(track, allow_pickle=False) as data:
        landmarks = data["landmarks"][data["valid"]].astype(np.float64)[..., :2]
    if len(landmarks) < SHORTEST:
        return None
    landmarks = landmarks / eye_distance(np.median(landmarks, axis=0))
    causes = np.array([[lip_opening(face), lip_width(face), *nose_direction(face)] for face in landmarks])
    flat = landmarks.reshape(len(landmarks), -1)
    return causes - causes.mean(axis=0), flat - flat.mean(axis=0), float(causes[:, 0].mean())


def mirror(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return, for each point of a symmetric face, the number of its mirror image."""
    flipped = points * (-1, 1)
    return np.asarray(((points[:, None] - flipped[None]) ** 2).sum(axis=-1).argmin(axis=1))


def main() -> None:
    """Fit the motion over all clips and write it."""
    parser = make_parser(__doc__)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    tracks = [track for folder in given.datasets for track in sorted(folder.glob("clips/*/track.npz"))]
    clips = [clip for track in tracks if (clip := measured(track)) is not None]
    causes, moved = (np.concatenate([clip[k] for clip in clips]) for k in (0, 1))
    fitted = np.linalg.lstsq(causes, moved, rcond=None)[0].reshape(-1, 478, 2)[:2]
    mean_face = mean_landmarks(tracks)
    twin = mirror(mean_face - (mean_face[:, 0].mean(), 0))
    motion = dict(zip(("opening", "width"), (fitted + fitted[:, twin] * (-1, 1)) / 2, strict=True))
    mean_opening = float(np.mean([clip[2] for clip in clips]))
    np.savez_compressed(given.output, **{name: moved.astype(np.float32) for name, moved in motion.items()})
    print(f"{given.output}: {len(clips)} clips, {len(causes)} frames, mean opening {mean_opening:.3f}")
    for name, index in _SHOWN.items():
        moves = [f"{cause} x {by[index, 0]:+.2f}, y {by[index, 1]:+.2f}" for cause, by in motion.items()]
        print(f"  {name}, per eye distance: {'; '.join(moves)}")


def mean_landmarks(tracks: list[Path]) -> NDArray[np.float64]:
    """Return the mean of all clips' median faces (478, 2), made upright by its eyes."""
    faces = []
    for track in tracks:
        with np.load(track, allow_pickle=False) as data:
            face = np.median(data["landmarks"][data["valid"]].astype(np.float64)[..., :2], axis=0)
        faces.append((face - face[[33, 263]].mean(axis=0)) / eye_distance(face))
    return np.asarray(np.mean(faces, axis=0))


if __name__ == "__main__":
    main()
