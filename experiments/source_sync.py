"""How surely does generation find by how much the own sound of its source is late?

    python experiments/source_sync.py VIDEO ... [--shifts 3,5,12]

Each video's faces are found as generation finds them. Its sound is then moved by each shift both ways, and replaced by
that of the next video, to which its mouths do not belong. A last column says how long the measurement takes.
"""

from __future__ import annotations

import time
from pathlib import Path

from dithead.errors import DitheadError
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.mouth_strips import MouthStrip
from dithead.inference.synthesise.source_sync import SURE, measure_source_sync
from dithead.media.video import read_frames
from shared import make_parser, print_table


def strips_of(path: Path) -> list[MouthStrip]:
    """Return the strips of all faces of a video."""
    analysis = analyse_video(read_frames(path), AnalysisSettings(160))
    return [strip for tracklet in analysis.tracklets for strip in tracklet.mouth_strips]


def main() -> None:
    """Print one line for each video, and the shares over all."""
    parser = make_parser(__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--shifts", default="3,5,12", help="frames at 25 a second, moved both ways")
    arguments = parser.parse_args()
    shifts = [sign * int(k) for k in arguments.shifts.split(",") for sign in (-1, 1)]
    rows, near, wrong, strangers = [], [], [], []
    for path, other in zip(arguments.videos, arguments.videos[1:] + arguments.videos[:1], strict=True):
        try:
            strips = strips_of(path)
            begun = time.process_time()
            own = measure_source_sync(path, strips)
            seconds = time.process_time() - begun
            moved = [measure_source_sync(path, strips, -k / 25) for k in shifts]
            stranger = measure_source_sync(other, strips)
        except DitheadError as error:
            print(f"  {error}")
            continue
        if own is None or stranger is None:
            continue
        found = [m.frames - own.frames - k for m, k in zip(moved, shifts, strict=True) if m and m.sure]
        near += [abs(k) <= 1 for k in found]
        wrong += [not (m and m.sure) for m in moved]
        strangers.append(stranger.confidence >= SURE)
        rows.append([path.stem, str(own.mouths), str(own.frames), f"{own.confidence:.3f}",
                     f"{sum(abs(k) <= 1 for k in found)} of {len(found)} sure", f"{stranger.confidence:.3f}",
                     f"{seconds:.2f}"])  # fmt: skip
        print("  " + "  ".join(rows[-1]), flush=True)
    print_table(["clip", "mouths", "own offset", "confidence", "moved: right to ±1", "with another's sound", "s"], rows)
    print(f"\nmoved sound: {sum(near)} of {len(near)} sure ones right, {sum(wrong)} of {len(wrong)} unsure; "
          f"another's sound taken for theirs: {sum(strangers)} of {len(strangers)}")  # fmt: skip


if __name__ == "__main__":
    main()
