"""The recipes run as they stand: every command of the how-to pages, on small files and an untrained model.

A block of commands is left out where the page says ``<!-- not run: why -->`` above it, and waits for the slow tests
where it says ``<!-- slow -->``. A block below ``<!-- file: NAME -->`` is written to that file first.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dithead.checkpoint import build_model, save_model
from dithead.cli import app
from dithead.config import get_preset
from dithead.media.audio import write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.provenance.verify import verify
from dithead.types import RGB

ROOT = Path(__file__).parents[1]
PAGES = (
    "long-film", "speakers", "portrait", "many-videos", "live", "own-language", "voice-and-music", "one-person",
    "compare-tools",
)  # fmt: skip
RATE = 16000
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and what the comment above it says."""

    kind: str
    text: str
    mark: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / "docs" / "howto" / f"{page}.md").read_text("utf-8")
    return [Block(m["kind"], m["text"], m["mark"] or "") for m in BLOCK.finditer(text)]


def sound(path: Path, seconds: float, hertz: float, rate: int = RATE) -> Path:
    t = np.arange(int(seconds * rate)) / rate
    write_audio(path, (0.2 * np.sin(2 * np.pi * hertz * t) * (0.6 + 0.4 * np.sin(9 * t))).astype(np.float32), rate)
    return path


def video(path: Path, frames: list[RGB], speech: Path | None = None, fps: int = 25) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, VideoInfo(width, height, Fraction(fps)), EncoderOptions(crf=14), audio=speech) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name, small: half-size presenters for half a second, a film of one frame a second."""
    folder = tmp_path_factory.mktemp("material")
    people = {
        name: [
            cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA)
            for f in islice(read_frames(ROOT / "examples" / "presenters" / f"{name}.mp4"), 25, 37)
        ]
        for name in ("mia", "ben")
    }
    for name, seconds, hertz in (
        ("speech", 0.5, 300), ("anna", 0.4, 250), ("ben", 0.5, 180), ("mix", 0.5, 200), ("voice", 0.5, 220),
        ("music", 2.0, 110), ("dub", 80.0, 260),
    ):  # fmt: skip
        sound(folder / f"{name}.wav", seconds, hertz)
    video(folder / "face.mp4", people["mia"], folder / "speech.wav")
    video(folder / "meeting.mp4", [np.hstack(pair) for pair in zip(people["mia"], people["ben"], strict=True)])
    video(folder / "film.mp4", [people["mia"][k % 12] for k in range(75)], fps=1)
    cv2.imwrite(str(folder / "portrait.png"), people["ben"][0][..., ::-1])
    for k, name in enumerate(("mia", "ben"), 1):
        for place in (f"clips/clip{k}", f"drivers/clip{k}", f"made/musetalk/clip{k}_musetalk", f"made/renamed/clip{k}"):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            other = people[{"mia": "ben", "ben": "mia"}[name]] if place.startswith("drivers") else people[name]
            video(folder / f"{place}.mp4", other, folder / "speech.wav")
    shutil.copytree(folder / "made" / "renamed", folder / "made" / "latentsync")
    torch.manual_seed(0)
    save_model(folder / "tiny", build_model(get_preset("tiny").model))
    return folder


@pytest.fixture
def workplace(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with those files, in which commands run with the untrained model."""
    shutil.copytree(material, tmp_path / "work")
    (tmp_path / "work" / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DITHEAD_MODEL", str(material / "tiny"))
    return tmp_path / "work"


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of a block; comments and line ends with a backslash are understood."""
    return [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def run(words: list[str]) -> None:
    """Run one command and require success."""
    if words[0] == "dithead":
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}\n{result.exception!r}"
        return
    assert words[0] == "python", f"only dithead and python commands run here: {words}"
    model = ["--model", "tiny"] if "live.py" in words[1] else []
    done = subprocess.run([sys.executable, *words[1:], *model], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def follow(page: str, *, slow: bool) -> int:
    """Do what a page says, in order; return how many commands ran."""
    count = 0
    for block in blocks(page):
        if block.mark.startswith("file: "):
            Path(block.mark.removeprefix("file: ").strip()).write_text(block.text, "utf-8")
        elif block.kind == "sh" and not block.mark.startswith("not run: ") and (slow or block.mark != "slow"):
            for words in commands(block.text):
                run(words)
                count += 1
    return count


@pytest.mark.parametrize("page", [page for page in PAGES if page != "one-person"])
def test_the_quick_commands_of_a_recipe_run(page: str, workplace: Path) -> None:
    assert follow(page, slow=False) >= 1
    if page == "live":
        assert verify(workplace / "out.mp4", watermark=False).verdict == "intact", "live speech is signed, too"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["many-videos", "own-language", "one-person", "compare-tools"])
def test_the_slow_commands_of_a_recipe_run(page: str, workplace: Path) -> None:
    if page in ("own-language", "one-person"):  # datasets need clips that are long enough and speak
        for name in ("mia", "ben"):
            shutil.copy(ROOT / "examples" / "presenters" / f"{name}.mp4", workplace / "clips")
    assert follow(page, slow=True) >= 1


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_recipe_is_python(page: str) -> None:
    for block in blocks(page):
        if block.kind == "python":
            compile(block.text, page, "exec")


def test_every_recipe_says_why_a_command_does_not_run() -> None:
    marks = [block.mark for page in PAGES for block in blocks(page) if block.kind == "sh" and block.mark]
    assert all(mark == "slow" or re.fullmatch(r"not run: .{5,}", mark) for mark in marks)
