"""Which faces are drawn worse than others? Groups the clips of evaluation reports by what their faces are like.

    python experiments/faces_of_all_kinds.py REPORT=VIDEOS ... [--labels labels.csv]

REPORT is a folder that ``dithead evaluate`` wrote, or a table of its clips as in ``docs/results/data``; VIDEOS is the
folder of the clips. Skin (as it is lit and recorded), light, yaw, size and motion are measured on every fifth frame.
Age, beard, glasses and make-up come from a table that somebody filled in while looking:
``clip,age,beard,glasses,makeup``.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import CHEEKS, NOSE_TIP, eye_distance
from dithead.face.pose import head_turn
from dithead.media.video import read_frames
from shared import make_parser, parse_named, print_table

EVERY, MOST = 5, 250  # frames from one that is looked at to the next, and frames at most
WORSE = 0.15  # of correlation below the mean, from which a group needs a reason
GROUPS = {
    "skin (ITA)": [(28, "dark to tan"), (41, "intermediate"), (180, "light")],
    "light (luma of the face)": [(60, "dim"), (160, "usual"), (256, "bright")],
    "yaw": [(12, "ahead"), (25, "turned a little"), (91, "turned")],
    "eyes apart": [(60, "below 60 px"), (140, "60 to 140 px"), (9999, "above 140 px")],
    "motion of the nose": [(0.08, "still"), (0.2, "some"), (99, "much")],
}
"""What is measured, and the upper limits of its groups: degrees of the individual typology angle, 8-bit levels,
degrees, pixels, and standard deviation in eye distances."""


@dataclass
class Face:
    """One clip: how well it was drawn, and the group it is in, by property."""

    clip: str
    correlation: float
    jitter: float
    missed: float
    groups: dict[str, str] = field(default_factory=dict)


def measured_groups(video: Path) -> dict[str, str]:
    """Return the groups of a clip that can be measured."""
    seen = []
    with FaceLandmarker() as landmarker:
        for frame in islice(read_frames(video), 0, MOST, EVERY):
            for face in landmarker.detect(frame.pixels)[:1]:
                seen.append(_properties(frame.pixels, face))
    if not seen:
        return {}
    skin, light, turn, eyes, x, y = np.array(seen).T
    moved = float(np.hypot(x.std(), y.std()) / np.median(eyes))
    values = [float(np.median(v)) for v in (skin, light, turn, eyes)] + [moved]
    return {name: _name(value, limits) for value, (name, limits) in zip(values, GROUPS.items(), strict=True)}


def _properties(picture: Any, face: Any) -> tuple[float, ...]:
    box = np.clip(np.rint([*face[:, :2].min(axis=0), *face[:, :2].max(axis=0)]).astype(int), 0, None)
    part = picture[box[1] : box[3] + 1, box[0] : box[2] + 1]
    points = np.rint(face[list(CHEEKS), :2]).astype(int).clip(0, np.array(picture.shape[1::-1]) - 1)
    cheeks = np.median(picture[points[:, 1], points[:, 0]], axis=0).astype(np.float32)
    lightness, _, yellow = cv2.cvtColor(cheeks[None, None] / np.float32(255), cv2.COLOR_RGB2LAB)[0, 0]
    angle = float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1e-3))))
    turn = abs(float(np.degrees(np.arcsin(np.clip(head_turn(face), -1, 1)))))
    luma = float(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).mean())
    return angle, luma, turn, float(eye_distance(face)), float(face[NOSE_TIP, 0]), float(face[NOSE_TIP, 1])


def _name(value: float, limits: list[tuple[float, str]]) -> str:
    return next(name for limit, name in limits if value <= limit)


def read_rows(report: Path) -> dict[str, dict[str, float]]:
    """Return the measures of each clip; of a table with several versions, those of the first."""
    if report.is_dir():
        records = {f.stem: json.loads(f.read_text("utf-8"))["rows"] for f in sorted((report / "clips").glob("*.json"))}
        return {
            clip: next(values for name, values in rows.items() if name.startswith("ours"))
            for clip, rows in records.items()
        }
    with report.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = [row for row in rows if row["version"] == rows[0]["version"]]
    names = ("lip_correlation", "jitter", "faces_missed")
    return {row["clip"]: {name: float(row.get(name) or "nan") for name in names} for row in first}


def read_faces(report: Path, videos: Path, labels: dict[str, dict[str, str]]) -> list[Face]:
    """Return the clips of a report, each with its groups."""
    faces = []
    for clip, row in read_rows(report).items():
        video = next(iter(sorted(videos.rglob(f"{clip}.*"))), None)
        if video is None or row.get("lip_correlation") is None:
            continue
        faces.append(Face(clip, row["lip_correlation"], row["jitter"], row["faces_missed"], measured_groups(video)))
        faces[-1].groups |= {k: v for k, v in labels.get(clip, {}).items() if k != "clip" and v}
    return faces


def main() -> None:
    """Print the table of groups, and that of the clips."""
    parser = make_parser(__doc__)
    parser.add_argument("reports", nargs="+", help="REPORT=VIDEOS")
    parser.add_argument("--labels", type=Path)
    arguments = parser.parse_args()
    labels: dict[str, dict[str, str]] = {}
    if arguments.labels:
        with arguments.labels.open(newline="", encoding="utf-8") as file:
            labels = {row["clip"]: row for row in csv.DictReader(file)}
    faces = [f for r, v in parse_named(arguments.reports).items() for f in read_faces(Path(r), Path(v), labels)]
    mean = float(np.mean([f.correlation for f in faces]))
    found: dict[tuple[str, str], list[Face]] = defaultdict(list)
    for face in faces:
        for key in face.groups.items():
            found[key].append(face)
    lines = [["all", "", *_figures(faces, mean)], *([*k, *_figures(found[k], mean)] for k in sorted(found))]
    print_table(["property", "group", "clips", "r", "jitter", "not drawn", ""], lines)
    print()
    print_table(["clip", "r", "jitter", "not drawn", *GROUPS, "other"],
                [[f.clip, f"{f.correlation:.2f}", f"{f.jitter:.2f}", f"{f.missed:.2f}",
                  *(f.groups.get(g, "") for g in GROUPS),
                  ", ".join(f"{k} {v}" for k, v in f.groups.items() if k not in GROUPS)] for f in faces])  # fmt: skip


def _figures(faces: list[Face], mean: float) -> list[str]:
    r, jitter, missed = (float(np.mean([getattr(f, k) for f in faces])) for k in ("correlation", "jitter", "missed"))
    return [str(len(faces)), f"{r:.2f}", f"{jitter:.2f}", f"{missed:.2f}", "worse" if r < mean - WORSE else ""]


if __name__ == "__main__":
    main()
