"""Small good files of every kind that is read from outside, to be damaged."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from dithead.checkpoint import build_model, save_model
from dithead.config import get_preset
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.serialise import save_analysis
from dithead.inference.analyse.tracklet import LipCalibration, Tracklet
from dithead.inference.result import FrameSpan
from zoo.boxes import write_heic
from zoo.material import Film, encode_sound

FILMS = {
    ".mp4": Film(sound="aac"), ".mov": Film("mjpeg", "yuvj420p", sound="pcm_s16le"), ".mkv": Film(sound="flac"),
    ".avi": Film("mpeg4", sound="libmp3lame"), ".mpg": Film("mpeg2video"), ".ts": Film(sound="aac"),
    ".webm": Film("libvpx", sound="libopus"), ".flv": Film("flv"), ".wmv": Film("wmv2"),
    ".part.mp4": Film(container={"movflags": "frag_keyframe+empty_moov"}),
    ".h265.mp4": Film("libx265", options={"x265-params": "log-level=none"}),
    ".alpha.mov": Film("png", "rgba"), ".lossless.mkv": Film("ffv1"),
}  # fmt: skip
SOUNDS = {
    ".wav": ("pcm_s16le", 16000), ".flac": ("flac", 16000), ".mp3": ("libmp3lame", 16000), ".ogg": ("libopus", 48000),
    ".m4a": ("aac", 16000), ".aiff": ("pcm_s16be", 16000), ".caf": ("alac", 16000), ".ac3": ("ac3", 48000),
}  # fmt: skip
PICTURES = (".png", ".jpg", ".webp", ".gif", ".avif", ".tiff", ".bmp", ".jp2", ".film.webp", ".film.gif", ".film.png")
TEXTS = {
    ".csv": "video,audio,output,fit,crf,speakers\na.mp4,b.wav,c.mp4,loop,20,\n\"d,e.mp4\",f.wav,g.mp4,,,s.json\n",
    ".jsonl": '{"video": "a.mp4", "audio": "b.wav", "output": "c.mp4", "steps": 3}\n'
    '{"video": "d", "speakers": {"1": "x"}}\n',
    ".speakers.json": '{"1": "anna.wav", "2": "ben.wav"}',
}  # fmt: skip
MODEL_PARTS = ("config.json", "hashes.json", "dit.safetensors", "audio.safetensors", "autoencoder.safetensors")


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """The bytes of each seed by the suffix that its damaged copies get."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {suffix: text.encode() for suffix, text in TEXTS.items()}
        for suffix, film in FILMS.items():
            found[suffix] = film.write(folder / f"film{suffix}", _frames()).read_bytes()
        for suffix, (codec, rate) in SOUNDS.items():
            found[suffix] = _sound(folder / f"sound{suffix}", codec, rate)
        found |= {suffix: _picture(suffix) for suffix in PICTURES}
        write_heic(folder / "a.heic", np.tile(_frames()[0][:64, :64], (1, 2, 1)), tile=64)
        found[".heic"] = (folder / "a.heic").read_bytes()
        found[".npz"] = _analysis(folder / "a.npz")
        return found


@lru_cache(maxsize=1)
def model_folder() -> dict[str, bytes]:
    """The files of a tiny model by name."""
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        save_model(Path(name) / "model", build_model(get_preset("tiny").model))
        return {part: (Path(name) / "model" / part).read_bytes() for part in MODEL_PARTS}


def _frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(4)]


def _sound(path: Path, codec: str, rate: int) -> bytes:
    with av.open(str(path), "w") as media:
        stream = media.add_stream(codec, rate=rate, layout="mono")
        media.mux([*encode_sound(stream, 0.1), *stream.encode(None)])
    return path.read_bytes()


def _picture(suffix: str) -> bytes:
    first, *others = [Image.fromarray(frame) for frame in _frames()]
    tags = Image.Exif()
    tags[0x0112] = 6
    packed, kind = BytesIO(), {"jpg": "jpeg", "jp2": "jpeg2000"}.get(suffix.split(".")[-1], suffix.split(".")[-1])
    film = {"save_all": True, "append_images": others, "duration": 40} if "film" in suffix else {}
    exif = {"exif": tags} if kind in ("jpeg", "png", "webp", "avif", "tiff") else {}
    first.save(packed, kind, **film, **exif)
    return packed.getvalue()


def _analysis(path: Path) -> bytes:
    rng, count = np.random.default_rng(0), 5
    store = ImageStore()
    images = store.put(_frames() * 2)
    tracklet = Tracklet(
        0, count, rng.normal(size=(count, 2, 3)), rng.normal(size=(6, 2)).astype(np.float32),
        rng.normal(size=(20, 2)).astype(np.float32), np.zeros((16, 16, 3), np.uint8), True, False, 0,
        rng.normal(size=(count, 20, 2)).astype(np.float32), opening_spread=0.1, opening_levels=np.linspace(0, 0.2, 5),
        cheeks=rng.normal(size=(8, 2)).astype(np.float32),
    )  # fmt: skip
    tracklet.references = StoredReferences(
        store,
        images,
        np.linspace(0, 0.2, 4, dtype=np.float32),
        np.full(4, 0.5, np.float32),
        0.1,
        0.5,
        np.array([0, 2, 3]),
        np.array([1, 3]),
        rng.normal(size=(4, 2, 3)),
    )
    tracklet.calibration = LipCalibration(np.zeros(9, np.float32), 1.0, 0.03, np.zeros(5, np.float32), 0.5)
    spans = [FrameSpan(1, 2, "no face")]
    save_analysis(path, VideoAnalysis(np.arange(count), [tracklet], spans, [], ["its clock jumps"]))
    return path.read_bytes()
