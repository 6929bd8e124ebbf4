"""Every reader of outside bytes as a function of one file, which may raise a ``DitheadError`` of one line only."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from dithead.checkpoint import load_model
from dithead.errors import DitheadError
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.serialise import load_analysis
from dithead.inference.job_list import job_of, read_jobs, read_speakers
from dithead.media.audio import audio_blocks
from dithead.media.video import probe, read_frames
from fuzz.seeds import FILMS, MODEL_PARTS, PICTURES, SOUNDS, TEXTS, model_folder, seeds

READERS: dict[str, tuple[str, ...]] = {
    "video": tuple(FILMS), "audio": tuple(SOUNDS), "picture": (*PICTURES, ".heic"), "job list": tuple(TEXTS),
    "analysis": (".npz",), "model folder": MODEL_PARTS,
}  # fmt: skip
"""Each reader, and the seeds that it is given damaged."""
_BLOCKS = 200  # of sound; the seeds have fewer


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some overwritten, cut out, doubled, swapped, or missing at the end."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(max(1, len(found)))
        length = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(7):
            case 0:
                found[at : at + length] = rng.randbytes(length)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
            case 3:
                del found[at:]
            case 4:
                found[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
            case 5:
                found[at : at + 1] = rng.choice((b"9", b"-", b"[", b"{", b'"', b",", b"\n", b"e99", b"null"))
            case _:
                found[at : at + 1] = bytes([found[at] ^ 1 << rng.randrange(8)]) if at < len(found) else b""
    return bytes(found)


def check(path: Path) -> int:
    """Read a file, or a model folder, in every way; returns the number of reads, raises what should not be raised."""
    reads = _reads_of(path)
    for read in reads:
        said = _said_by(read, path)
        assert len(said.splitlines()) < 2, said
    return len(reads)


def _said_by(read: Callable[[Path], object], path: Path) -> str:
    """The message of a reader that refuses a file; empty where it does not."""
    try:
        read(path)
    except DitheadError as error:
        return str(error)
    return ""


def _reads_of(path: Path) -> tuple[Callable[[Path], object], ...]:
    if path.is_dir():
        return (load_model,)
    suffix = path.name[path.name.index(".") :]
    if suffix.endswith((".csv", ".jsonl")):
        return (_jobs,)
    if suffix.endswith(".json"):
        return (read_speakers,)
    if suffix.endswith(".npz"):
        return (lambda p: load_analysis(p, ImageStore()),)
    return probe, lambda p: [f.quick_pixels.shape for f in islice(read_frames(p), 50)], _sound


def _sound(path: Path) -> None:
    """The first blocks: a clock that leaps by hours would give hours of silence."""
    for block in islice(audio_blocks(path, 16000, channels=1), _BLOCKS):
        assert block.ndim == 2


def _jobs(path: Path) -> None:
    for row in islice(read_jobs(path), 5):
        said = _said_by(lambda _, row=row: job_of(row), path)
        assert len(said.splitlines()) < 2, said


def damaged_copy(reader: str, rng: random.Random, folder: Path) -> Path:
    """Write a damaged seed of a reader into a folder and return what is to be read."""
    kind = rng.choice(READERS[reader])
    if reader != "model folder":
        path = folder / f"fuzz{kind}"
        path.write_bytes(damaged(seeds()[kind], rng))
        return path
    files = dict(model_folder())
    files[kind] = damaged(files[kind], rng)
    if kind != "hashes.json":  # or the wrong hash would hide every other fault
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "hashes.json"}
        files["hashes.json"] = json.dumps(hashes).encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
