"""What do the marks cost? Processor time of generation, and of hiding the watermark and signing within it.

    python experiments/marks_cost.py VIDEO SPEECH FOLDER

Each video is made once with marks and once without, alternately, three times; the least processor time of each counts.
The stages are those that ``dithead bench`` times.
"""

from __future__ import annotations

import time
from pathlib import Path

from dithead.checkpoint import load_model
from dithead.hub import resolve_model
from dithead.inference.pipeline import generate
from dithead.stages import recording
from shared import make_parser

REPEATS = 3


def run(video: Path, speech: Path, output: Path, model: object, *, marks: bool) -> tuple[float, float, int]:
    """Generate once; returns seconds of processor time in all and in the two stages, and the frames."""
    begun = time.process_time()
    with recording() as recorder:
        made = generate(
            video, speech, output, model=model, end=5, fit="cut", seed=0, credentials=marks, watermark=marks
        )
    seconds = time.process_time() - begun
    stages = sum(span.own_cpu for span in recorder.spans if span.stage in ("watermark", "sign"))
    return seconds, stages, made.frames


def main() -> None:
    """Print a row for the video."""
    parser = make_parser(__doc__)
    for name in ("video", "speech", "folder"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    model = load_model(resolve_model("small"))
    runs = [
        [run(given.video, given.speech, given.folder / "cost.mp4", model, marks=marks) for marks in (False, True)]
        for _ in range(REPEATS)
    ]
    plain, marked = min(pair[0][0] for pair in runs), min(pair[1][0] for pair in runs)
    stages, frames = min(pair[1][1] for pair in runs), runs[0][1][2]
    print("| video | frames | without marks | with marks | watermark and signature | share |")
    print("|---|---:|---:|---:|---:|---:|")
    name, share = given.video.name, 100 * stages / plain
    print(f"| {name} | {frames} | {plain:.2f} s | {marked:.2f} s | {stages:.2f} s | {share:.1f} % |")


if __name__ == "__main__":
    main()
