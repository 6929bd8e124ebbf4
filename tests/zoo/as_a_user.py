"""Makes one input or more of each row 4 to 13 of docs/results/any-input.md, and runs the command line on each.

    python tests/zoo/as_a_user.py FOLDER

Other than the zoo, it uses the shipped model, and what a user sees: the exit code, the notes, the output file. It
prints a Markdown table, and writes ``sheet.png`` with the first and the last picture of each output.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, features

sys.path.insert(0, str(Path(__file__).parents[1]))

from dithead.media.tone_mapping import HLG, PQ
from dithead.media.video import probe, read_frames
from zoo.boxes import set_display_matrix, stored, write_heic
from zoo.material import PRESENTER, SIDE, Film, corner_errors, marked

SPEECH = Path(__file__).parents[2] / "examples" / "speech" / "english.flac"
COUNT, SECONDS = 12, 1.0
UPRIGHT_LEVELS = 12.0  # by which a corner's colour may miss, in the worst of the formats
BT2020 = {"colorspace": 9, "color_range": 1, "color_primaries": 9}
WORDS = {1: "as it is", 2: "mirrored", 3: "upside down", 4: "flipped", 5: "transposed", 6: "turned right",
         7: "transversed", 8: "turned left"}  # fmt: skip
Maker = Callable[[Path], Path]


@lru_cache(maxsize=1)
def pictures() -> list[np.ndarray]:
    """Pictures (H, W, 3) of a presenter with a colour in each corner."""
    frames = islice(read_frames(PRESENTER), COUNT)
    return [marked(cv2.resize(f.pixels[40:472, 40:472], (SIDE, SIDE), interpolation=cv2.INTER_AREA)) for f in frames]


def film(name: str, shown: Callable[[], list[np.ndarray]] = pictures, **settings) -> Maker:
    return lambda folder: Film(**settings).write(folder / name, shown())


def turned_film(number: int) -> Maker:
    def make(folder: Path) -> Path:
        path = Film().write(folder / f"turned{number}.mp4", [stored(p, number) for p in pictures()])
        set_display_matrix(path, number)
        return path

    return make


def picture(name: str, number: int = 1, *, count: int = 1, **options) -> Maker:
    """A picture by Pillow, or an animation whose frames are shown twice."""

    def make(folder: Path) -> Path:
        shown = [Image.fromarray(stored(p, number)) for p in np.repeat(pictures(), 2, axis=0)[:count]]
        tags = Image.Exif()
        tags[0x0112] = number
        exif = {} if name.endswith("gif") else {"exif": tags}
        more = {"save_all": True, "append_images": shown[1:], "duration": 80} if count > 1 else {}
        shown[0].save(folder / name, **exif, **more, **options)
        return folder / name

    return make


def heic(folder: Path) -> Path:
    write_heic(folder / "a.heic", cv2.resize(pictures()[0], (256, 256)), 6, 128)
    return folder / "a.heic"


def slides(folder: Path) -> Path:
    return Film(rate=Fraction(1, 3)).write(folder / "slides.mp4", pictures()[:2])


def interlaced(folder: Path) -> Path:
    woven = [p.copy() for p in pictures()]
    for one, other in zip(woven, pictures()[1:], strict=False):
        one[1::2] = other[1::2]
    flags = 0x40000 | 0x20000000  # interlaced DCT and motion: ffmpeg's +ildct+ilme
    return Film("mpeg2video", options={"b": "8M", "top": "1"}, flags=flags).write(folder / "tff.mpg", woven)


def size_changes(folder: Path) -> Path:
    """MPEG-TS of a call: 320 x 320, then 192 x 192."""
    parts = []
    for k, side in enumerate((320, 192)):
        shown = [cv2.resize(p, (side, side)) for p in pictures()]
        stamps = tuple(3600 * (j + COUNT * k) for j in range(COUNT))
        path = Film(stamps=stamps, time_base=Fraction(1, 90000)).write(folder / f"{side}.ts", shown)
        parts.append(path.read_bytes())
    (folder / "call.ts").write_bytes(b"".join(parts))
    return folder / "call.ts"


def with_alpha() -> list[np.ndarray]:
    """A person cut out: green lies under what is transparent."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(alpha, (SIDE // 2, SIDE // 2), (90, 115), 0, 0, 360, 255, -1)
    cut = [np.where(alpha[..., None] > 0, p, (0, 255, 0)).astype(np.uint8) for p in pictures()]
    return [np.dstack([p, alpha]) for p in cut]


def alpha_png(folder: Path) -> Path:
    Image.fromarray(with_alpha()[0]).save(folder / "cut_out.png")
    return folder / "cut_out.png"


def late_sound(folder: Path) -> Path:
    """A presenter's own film whose sound is twelve frames late."""
    path = folder / "late.mkv"
    with av.open(str(PRESENTER)) as source, av.open(str(path), "w") as media:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        outs = {s.index: media.add_stream_from_template(s) for s in (picture, sound)}
        for packet in source.demux(picture, sound):
            if packet.dts is None:
                continue
            if packet.stream.index == sound.index:
                shift = round(Fraction(12, 25) / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = outs[packet.stream.index]
            media.mux(packet)
    return path


def play_list(name: str, text: str) -> Maker:
    def make(folder: Path) -> Path:
        other = Film().write(folder / "secret.mp4", pictures())
        (folder / name).write_text(text.format(other.name))
        return folder / name

    return make


HEVC = {"x265-params": "log-level=none:hdr10=0"}
ROWS: list[tuple[int, str, Maker, tuple[str, ...]]] = [
    *((4, f"MP4, display matrix: {WORDS[n]}", turned_film(n), ()) for n in range(2, 9)),
    *((4, f"JPEG, Exif {n}: {WORDS[n]}", picture(f"exif{n}.jpg", n, quality=95), ()) for n in (2, 4, 5, 7)),
    (5, "two slides of 3 s", slides, ("--fit", "freeze")),
    *([(6, "AVIF", picture("a.avif", quality=95), ())] if features.check("avif") else []),
    (6, "HEIC of an iPhone's kind, turned", heic, ()),
    (6, "GIF of one frame", picture("one.gif"), ()),
    (7, "animated WebP", picture("film.webp", count=12, lossless=True), ()),
    (7, "animated GIF, frames twice", picture("film.gif", count=12), ()),
    (7, "APNG, frames twice", picture("film.png", count=12), ()),
    (8, "MPEG-2, top field first", interlaced, ()),
    (9, "MPEG-TS, 320 x 320, then 192 x 192", size_changes, ()),
    (10, "VP9 with alpha", film("alpha.webm", with_alpha, codec="libvpx-vp9", pix_fmt="yuva420p"), ()),
    (10, "PNG with alpha", alpha_png, ()),
    (10, "PNG with alpha, --background navy", alpha_png, ("--background", "#000080")),
    (11, "HEVC, PQ", film("pq.mp4", codec="libx265", pix_fmt="yuv420p10le", options=HEVC,
                          tags={**BT2020, "color_trc": PQ}), ()),
    (11, "HEVC, HLG", film("hlg.mov", codec="libx265", pix_fmt="yuv420p10le", options=HEVC,
                           tags={**BT2020, "color_trc": HLG}), ()),
    (12, "own sound 12 frames late", late_sound, ()),
    (13, "ffconcat named .mp4", play_list("list.mp4", "ffconcat version 1.0\nfile '{}'\n"), ()),
    (13, "HLS list", play_list("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"), ()),
]  # fmt: skip


def run(make: Maker, options: tuple[str, ...], folder: Path) -> tuple[str, np.ndarray | None]:
    """Make an input and run the command line on it; returns what came of it, and two pictures side by side."""
    folder.mkdir(parents=True)
    made, output = make(folder), folder / "out.mkv"
    inputs = ["--video", made, "--audio", folder.parent / "speech.wav", "-o", output]
    command = [sys.executable, "-m", "dithead.cli", "generate", *inputs, "--fit", "silence", *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    said = [re.sub(r"^dithead: |/\S*/", "", line) for line in done.stderr.splitlines() if line.startswith("dithead: ")]
    if done.returncode:
        return f"exit {done.returncode}, {len(done.stderr.splitlines())} line: {said[0] if said else done.stderr}", None
    shown, info = [f.pixels for f in read_frames(output)], probe(output)
    worst = max(corner_errors(p)[name] for p in (shown[0], shown[-1]) for name in corner_errors(p))
    upright = "corners right" if worst < UPRIGHT_LEVELS else f"corners off by {worst:.0f} levels"
    times = [f.time for f in read_frames(output)]
    facts = f"{len(shown)} frames, {info.width}×{info.height}, last at {times[-1] - times[0]:.2f} s, {upright}"
    return "; ".join([facts, *said]), np.hstack([shown[0], shown[-1]])


def main(folder: Path) -> None:
    """Run all rows and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    from dithead.media.audio import read_audio, write_audio

    write_audio(folder / "speech.wav", read_audio(SPEECH, 16000)[: round(SECONDS * 16000)], 16000)
    print("| row | input | what came of it |\n|---:|---|---|")
    tiles = []
    for number, (row, name, make, options) in enumerate(ROWS):
        said, tile = run(make, options, folder / f"{number:02d}")
        print(f"| {row} | {name} | {said} |", flush=True)
        if tile is not None:
            tile = cv2.resize(tile, (480, 240 * tile.shape[0] * 2 // tile.shape[1]))
            tiles.append(cv2.putText(tile.copy(), name, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 0, 255), 1))
    high = max(tile.shape[0] for tile in tiles)
    tiles = [np.pad(tile, ((0, high - tile.shape[0]), (0, 0), (0, 0))) for tile in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 3)
    sheet = np.vstack([np.hstack(tiles[k : k + 3]) for k in range(0, len(tiles), 3)])
    cv2.imwrite(str(folder / "sheet.png"), sheet[..., ::-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
