"""Does the watermark survive what happens to videos, and how often is it found where there is none?

It makes the tables and the picture of docs/results/watermark.md.

    python experiments/watermark.py survive FOLDER CLIP...      # mark, attack, detect; a killed run goes on
    python experiments/watermark.py survive FOLDER OUTPUT... --marked    # the same for outputs of dithead generate
    python experiments/watermark.py unmarked FOLDER CLIP...     # scores of unmarked segments under many keys
    python experiments/watermark.py picture OUT.png             # a presenter with and without it, at 4 times contrast

``survive`` marks the lower face of each clip as generation would, without redrawing it, so that its pixels and its
encoding are those of a real recording. It needs the ffmpeg command with libx264, libx265, libvpx-vp9 and libsvtav1.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.compose.blend_mask import mouth_region
from dithead.media.encoder import EncoderOptions
from dithead.media.planes import Planes, planes_of
from dithead.media.video import VideoFrame, probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.provenance.detect_watermark import FALSE_ALARM, detect
from dithead.provenance.watermark import PUBLIC_KEY, Payload, Watermarker
from dithead.provenance.watermark_evidence import FaceEvidence
from dithead.provenance.watermark_faces import find_faces, gather
from dithead.provenance.watermark_pattern import Pattern
from dithead.provenance.watermark_statistic import decide, score_at, tail
from dithead.types import RGB
from shared import EXAMPLES, make_parser, print_table

SIZE = 160  # side of the aligned crop
SECONDS = 5  # of each clip, at most
PAYLOAD = Payload.of_model("small", "video")
KEYS = 20  # with which each unmarked segment is searched

H264 = "-c:v libx264 -preset fast"
ATTACKS = {
    "as generated (H.264 CRF 10)": None,
    "H.264 CRF 18": f"{H264} -crf 18",
    "H.264 CRF 23": f"{H264} -crf 23",
    "H.264 CRF 28": f"{H264} -crf 28",
    "H.264 CRF 33": f"{H264} -crf 33",
    "H.265 CRF 28": "-c:v libx265 -preset fast -x265-params log-level=none -crf 28",
    "VP9 CRF 33": "-c:v libvpx-vp9 -b:v 0 -crf 33 -deadline good -cpu-used 4",
    "AV1 CRF 35": "-c:v libsvtav1 -preset 8 -crf 35",
    "resized to 0.75, CRF 23": f"-vf scale=trunc(iw*0.375)*2:trunc(ih*0.375)*2 {H264} -crf 23",
    "resized to 0.5, CRF 23": f"-vf scale=trunc(iw*0.25)*2:trunc(ih*0.25)*2 {H264} -crf 23",
    "cropped by 10 %, CRF 23": f"-vf crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2:iw*0.06:ih*0.04 {H264} -crf 23",
    "blurred (sigma 1 px), CRF 23": f"-vf gblur=sigma=1 {H264} -crf 23",
    "brightness and contrast +10 %, CRF 23": f"-vf eq=brightness=0.1:contrast=1.1 {H264} -crf 23",
    "brightness and contrast -10 %, CRF 23": f"-vf eq=brightness=-0.1:contrast=0.9 {H264} -crf 23",
    "denoised (hqdn3d), CRF 23": f"-vf hqdn3d {H264} -crf 23",
    "played 5 % faster, CRF 23": f"-vf setpts=PTS/1.05,fps=25 {H264} -crf 23",
    "to 30 fps, CRF 23": f"-vf fps=30 {H264} -crf 23",
    "first 0.7 s cut off, CRF 23": f"-ss 0.7 {H264} -crf 23",
    "mirrored, CRF 23": f"-vf hflip {H264} -crf 23",
    "platform: at most 720 lines, 30 fps, CRF 28": f"-vf scale=-2:min(720\\,ih),fps=30 {H264} -crf 28",
    "screen capture: x0.83, turned by 1.5 degrees, gamma, noise, 30 fps, CRF 23": (
        "-vf scale=trunc(iw*0.415)*2:trunc(ih*0.415)*2:flags=bilinear,rotate=1.5*PI/180,eq=gamma=1.05,"
        f"noise=alls=4:allf=t,fps=30 {H264} -crf 23"
    ),
}  # fmt: skip


def mark(source: Path, target: Path) -> dict[str, float]:
    """Mark the beginning of a clip and encode it as generation does; return how much was changed."""
    info = probe(source)
    frames = list(islice(read_frames(source), round(SECONDS * info.fps)))
    analysis = analyse_video(iter(frames), AnalysisSettings(SIZE, "stable-polygon", None))
    marker, measured = Watermarker(PAYLOAD), ChangeMeter()
    with VideoWriter(target, info, EncoderOptions()) as writer:
        for frame in frames:
            planes = planes_of(frame.native, writer.pix_fmt, frame.encoding, frame.rotation)
            before = planes.arrays[0].copy()
            for weight in mark_frame(planes, frame, analysis, marker):
                measured.add(before, planes.arrays[0], weight)
            writer.write(planes, frame.pts, frame.time_base)
    return measured.result()


def mark_frame(
    planes: Planes, frame: VideoFrame, analysis: VideoAnalysis, marker: Watermarker
) -> Iterator[NDArray[np.float32]]:
    """Mark a frame in place, and yield how much each pixel of it (H, W) might be redrawn, face by face."""
    for tracklet in analysis.tracklets_at(frame.index):
        transform = tracklet.transforms[frame.index - tracklet.start]
        allowed = mouth_region(tracklet, frame.index, SIZE).allowed
        marker.apply(planes, transform, allowed, frame.time)
        height, width = planes.arrays[0].shape
        yield np.asarray(cv2.warpAffine(allowed, invert(transform), (width, height)), np.float32)


class ChangeMeter:
    """Measures the mark where a mouth might be redrawn: its PSNR, and how much of it changes from frame to frame."""

    def __init__(self) -> None:
        self.change = self.pixels = 0.0
        self.flicker: list[float] = []
        self.motion: list[float] = []
        self.last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def add(self, before: NDArray[Any], after: NDArray[Any], weight: NDArray[np.float32]) -> None:
        """Take the luma (H, W) of a frame before and after it was marked."""
        inside = weight > 0.5
        old, new = (np.where(inside, luma.astype(np.float32), 0) for luma in (before, after))
        self.change += float(((new - old) ** 2).sum())
        self.pixels += float(inside.sum())
        if self.last is not None:
            count = max(1, inside.sum())
            self.flicker.append(float((((new - old) - (self.last[1] - self.last[0])) ** 2).sum() / count))
            self.motion.append(float(((old - self.last[0]) ** 2).sum() / count))
        self.last = old, new

    def result(self) -> dict[str, float]:
        """Return the PSNR in dB, and the changes of mark and picture from frame to frame in levels (RMS)."""
        psnr = 10 * np.log10(255**2 * self.pixels / max(self.change, 1e-9))
        return {"psnr": psnr, "flicker": float(np.sqrt(np.mean(self.flicker))), "motion": rms(self.motion)}


def rms(squares: Sequence[float]) -> float:
    """Return the root of the mean of squares."""
    return float(np.sqrt(np.mean(squares)))


def survive(folder: Path, clips: list[Path], marked: bool) -> None:
    """Mark, attack and detect, clip by clip; print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "survive.jsonl"
    done = {(row["clip"], row["attack"]): row for row in read_rows(log)}
    for clip in clips:
        name = f"{clip.parent.name}_{clip.stem}"
        source, change = (clip, {}) if marked else (folder / f"{name}.mkv", {})
        for attack, options in ATTACKS.items():
            if (name, attack) in done:
                continue
            if not marked and not source.exists():
                change = mark(clip, source)
            row = {"clip": name, "attack": attack, **attack_and_detect(source, folder, options), **change}
            done[name, attack] = row
            with log.open("a") as file:
                print(json.dumps(row), file=file)
    print_survival(list(done.values()))


def attack_and_detect(source: Path, folder: Path, options: str | None) -> dict[str, Any]:
    """Return what is found in a marked file after an attack."""
    attacked = source
    if options is not None:
        attacked = folder / "attacked.mkv"
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-an", *options.split(), str(attacked)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    found = detect(attacked)
    right = found.payload == PAYLOAD
    return {
        "present": found.present,
        "right": right,
        "p_value": found.p_value,
        "bits": found.bit_accuracy,
        "face": max((face.face_pixels for face in found.faces), default=0),
        "promised": found.promised,
    }


def print_survival(rows: list[dict[str, Any]]) -> None:
    """Print the table of attacks."""
    by_attack: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_attack[row["attack"]].append(row)
    lines = []
    for attack, found in by_attack.items():
        present = [row for row in found if row["present"]]
        bits = np.mean([row["bits"] for row in present]) if present else float("nan")
        lines.append([
            attack, f"{len(present)} of {len(found)}", f"{sum(row['right'] for row in present)} of {len(present)}",
            f"{bits:.2f}", f"{np.median([np.log10(row['p_value']) for row in found]):.0f}",
        ])  # fmt: skip
    print_table(["attack", "found", "payload right", "code bits right", "median log10 p"], lines)
    changes = {row["clip"]: row for row in rows if "psnr" in row}
    lines = [[c, *(f"{r[k]:.1f}" for k in ("psnr", "flicker", "motion", "face"))] for c, r in changes.items()]
    print_table(["clip", "PSNR, dB", "mark's change a frame", "picture's change a frame", "face, px"], lines)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def unmarked(folder: Path, clips: list[Path], seconds: float) -> None:
    """Score every segment of unmarked clips under many keys; print how the scores are distributed."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "unmarked.jsonl"
    patterns = [Pattern(PUBLIC_KEY), *(Pattern(b"key %d" % number) for number in range(1, KEYS))]
    done = {row["clip"] for row in read_rows(log)}
    for clip in clips:
        name = f"{clip.parent.name}_{clip.stem}"
        if name not in done:
            rows = [score(each, patterns) for evidence in segments(clip, seconds) for each in evidence]
            with log.open("a") as file:
                print(json.dumps({"clip": name, "scores": rows}), file=file)
    print_false_alarms([row for clip in read_rows(log) for row in clip["scores"]])


def segments(clip: Path, seconds: float) -> Iterator[list[FaceEvidence]]:
    """Yield the evidence of each segment of a clip; a last one of less than three seconds is left out."""
    frames = read_frames(clip)
    fps = probe(clip).fps
    while len(part := list(islice(frames, round(seconds * fps)))) >= 3 * fps - 2:
        start = part[0].time
        yield gather(
            [(frame.time - start, frame.quick_pixels) for frame in part], find_faces(f.quick_pixels for f in part)
        )


def score(evidence: FaceEvidence, patterns: list[Pattern]) -> dict[str, list[float]]:
    """Return the bound of the whole search under each key, and the score of one message at one place."""
    found = [decide([evidence], pattern, trials=2) for pattern in patterns]
    fixed = [score_at([evidence], pattern, 997 * k, k % 32) for k, pattern in enumerate(patterns)]
    return {"p": [each.p_value for each in found], "best": [each.score for each in found], "fixed": fixed}


def print_false_alarms(rows: list[dict[str, list[float]]]) -> None:
    """Print how many segments reach which score, beside the bound."""
    fixed = np.array([row["fixed"] for row in rows]).ravel()
    p = np.array([row["p"] for row in rows]).ravel()
    lines = [
        [
            f"{limit}",
            f"{(fixed >= limit).mean():.5f}",
            f"{min(1, 0.5 * tail(limit) / tail(0.0)):.5f}",
            f"{tail(limit):.5f}",
        ]
        for limit in (0, 1, 2, 3, 4)
    ]
    print_table(["score of one trial", "reached", "Gaussian", "bound"], lines)
    print(f"{len(rows)} faces in segments x {KEYS} keys = {p.size} searches: smallest p {p.min():.1e}, "
          f"{(p <= 0.01).sum()} at most 0.01, {(p <= FALSE_ALARM).sum()} false alarms")  # fmt: skip


def picture(target: Path) -> None:
    """Save a presenter's lower face before and after marking, and both at 4 times the contrast."""
    source = EXAMPLES / "presenters" / "mia.mp4"
    frames = list(read_frames(source))
    analysis = analyse_video(iter(frames), AnalysisSettings(SIZE, "stable-polygon", None))
    frame = frames[40]
    planes = planes_of(frame.native, "yuv420p", frame.encoding)
    before = planes.rgb(0, 0, *planes.arrays[0].shape)
    list(mark_frame(planes, frame, analysis, Watermarker(PAYLOAD)))
    after = planes.rgb(0, 0, *planes.arrays[0].shape)
    rows = [np.hstack([lower_face(each), lower_face(with_contrast(each))]) for each in (before, after)]
    cv2.imwrite(str(target), np.vstack(rows)[..., ::-1])


def lower_face(image: RGB) -> RGB:
    """Cut out the presenter's lower face, twice as large."""
    part = image[250:440, 130:390]
    return np.asarray(cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def with_contrast(image: RGB) -> RGB:
    """Return a picture without coarse shading and with 4 times the contrast."""
    values = image.astype(np.float32)
    return np.asarray(np.clip(128 + 4 * (values - cv2.GaussianBlur(values, (0, 0), 12)), 0, 255), np.uint8)


def main() -> None:
    parser = make_parser(__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("survive", "unmarked"):
        part = kinds.add_parser(kind)
        part.add_argument("folder", type=Path, help="where files and rows are kept")
        part.add_argument("clips", type=Path, nargs="+")
    kinds.choices["survive"].add_argument("--marked", action="store_true", help="the clips carry the mark already")
    kinds.choices["unmarked"].add_argument("--seconds", type=float, default=SECONDS, help="length of a segment")
    kinds.add_parser("picture").add_argument("target", type=Path)
    arguments = parser.parse_args()
    if arguments.kind == "survive":
        survive(arguments.folder, arguments.clips, arguments.marked)
    elif arguments.kind == "unmarked":
        unmarked(arguments.folder, arguments.clips, arguments.seconds)
    else:
        picture(arguments.target)


if __name__ == "__main__":
    main()
