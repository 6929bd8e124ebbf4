"""The demo: a rendered presenter says a synthesised sentence, with the shipped weights.

    python examples/demo.py [PRESENTER] [SPEECH] [OUTPUT_FOLDER]

Writes the video and, beside it, a still sheet: source row, result row.
"""

from __future__ import annotations

import sys
from pathlib import Path

import dithead
from dithead.media.contact_sheet import write_sheet

HERE = Path(__file__).parent


def main(presenter: str = "mia", speech: str = "english", folder: str | Path = HERE.parent / "out" / "demo") -> None:
    """Generate the video and the sheet into ``folder``, and print one line that says where they lie."""
    source, folder = HERE / "presenters" / f"{presenter}.mp4", Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "talking.mp4"
    result = dithead.generate(source, HERE / "speech" / f"{speech}.flac", video)
    sheet = write_sheet([("source", source), ("result", video)], folder / "talking.png")
    print(f"{video} ({result.frames} frames in {result.seconds:.0f} s); stills in {sheet}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except dithead.DitheadError as error:
        sys.exit(f"demo: {error}")
