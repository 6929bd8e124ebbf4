"""The demo: a rendered presenter says a synthesised sentence, once from a video and once from one picture.

    python examples/demo.py [PRESENTER] [SPEECH] [OUTPUT_FOLDER]

Writes the videos and, beside them, a sheet of stills: what the picture became, the source video, what it became.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dithead
from dithead.media.contact_sheet import save_picture, write_sheet
from dithead.media.video import read_frames

HERE = Path(__file__).parent


def main(presenter: str = "mia", speech: str = "english", folder: str | Path = HERE.parent / "out" / "demo") -> None:
    """Generate the videos and the sheet into ``folder``, and print where they lie."""
    source, sound, folder = HERE / "presenters" / f"{presenter}.mp4", HERE / "speech" / f"{speech}.flac", Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    video, portrait = folder / "talking.mp4", folder / "portrait.mp4"
    result = dithead.generate(source, sound, video, progress=True)
    picture = closed_mouth(source, folder / "portrait.png")
    spoken = dithead.generate(picture, sound, portrait, progress=True)
    rows = [("one picture speaks", portrait), ("source video", source), ("the video speaks", video)]
    sheet = write_sheet(rows, folder / "talking.png")
    for path, made in ((video, result), (portrait, spoken)):
        print(f"{shown(path)} ({made.frames} frames in {made.seconds:.0f} s)")
    print(f"stills in {shown(sheet)}")


def shown(path: Path) -> Path:
    """Return a path as it is named from the folder where the demo was started, if it lies in there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def closed_mouth(source: Path, output: Path) -> Path:
    """Write the frame of a presenter whose mouth is least open, by the ground truth beside the video."""
    openings = json.loads(source.with_suffix(".json").read_text("utf-8"))["aperture"]
    least = openings.index(min(openings))
    return save_picture(next(frame.pixels for frame in read_frames(source) if frame.index == least), output)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except dithead.DitheadError as error:
        sys.exit(f"demo: {error}")
