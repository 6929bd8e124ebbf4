"""Bad input through the command line: one line that names the file and says what to do, exit code 2, no harm done."""

from __future__ import annotations

import json
import os
import re
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dithead import cli
from dithead.checkpoint import build_model, save_model
from dithead.config import get_preset
from dithead.errors import ConfigError
from dithead.inference.job_list import read_jobs
from dithead.media.audio import write_audio
from dithead.media.contact_sheet import save_picture
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter

PRESENTER = Path(__file__).parents[1] / "examples" / "presenters" / "mia.mp4"
PRECIOUS = b"an earlier result"
PROGRESS = re.compile(r": \d+ of \d+$|on this machine")
"""Lines that say how long it takes and how far it is; what is wrong is said in one more."""


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, Path]:
    """A video with a face, a speech track and a model folder, all fine."""
    folder = tmp_path_factory.mktemp("good")
    frames = [f.pixels[::2, ::2] for f in islice(read_frames(PRESENTER), 3)]
    write_video(folder / "face.mp4", frames)
    write_audio(folder / "speech.wav", np.sin(np.arange(8000) / 9).astype(np.float32) * 0.3, 16000)
    torch.manual_seed(0)
    save_model(folder / "model", build_model(get_preset("tiny").model))
    return {"video": folder / "face.mp4", "audio": folder / "speech.wav", "model": folder / "model"}


def write_video(path: Path, frames: list[np.ndarray], audio=None) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, VideoInfo(width, height, Fraction(25)), audio=audio) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def run(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    """(exit code, stderr) of ``dithead`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["dithead", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code, capsys.readouterr().err


@pytest.fixture
def refused(good, tmp_path, monkeypatch, capsys):
    """Run ``generate`` with some inputs replaced; checks everything that must hold for every bad input."""

    def check(*mentions: str, **changed: object) -> None:
        output = Path(str(changed.pop("output", tmp_path / "out" / "result.mp4")))
        if output.parent == tmp_path / "out":
            output.parent.mkdir(exist_ok=True)
            output.write_bytes(PRECIOUS)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        inputs = good | changed
        flags = [part for name, value in inputs.items() for part in (f"--{name}", value)]
        code, error = run(monkeypatch, capsys, "generate", *flags, "--output", output)
        lines = [line for line in error.strip().splitlines() if not PROGRESS.search(line)]
        assert code == 2
        assert len(lines) == 1, error
        assert lines[0].startswith("dithead: ")
        for mention in mentions:
            assert mention in lines[0]
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert after == before

    return check


def test_the_good_input_is_good(good, tmp_path, monkeypatch, capsys):
    """Otherwise the tests below could pass for a wrong reason."""
    flags = [part for name, value in good.items() for part in (f"--{name}", value)]
    monkeypatch.setattr(
        sys, "argv", ["dithead", "generate", *map(str, flags), "-o", str(tmp_path / "o.mp4"), "--json", "--fit=silence"]
    )
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code in (0, None)
    assert json.loads(capsys.readouterr().out)["frames"] == 3


@pytest.mark.parametrize("kind", ["video", "audio"])
class TestInputs:
    def test_missing(self, refused, tmp_path, kind):
        refused("nowhere.mp4", "no such file", **{kind: tmp_path / "nowhere.mp4"})

    def test_empty(self, refused, tmp_path, kind):
        (tmp_path / "empty.mp4").touch()
        refused("empty.mp4", "is empty", **{kind: tmp_path / "empty.mp4"})

    def test_folder(self, refused, tmp_path, kind):
        refused("is a folder", **{kind: tmp_path})

    def test_text_named_mp4(self, refused, tmp_path, kind):
        (tmp_path / "text.mp4").write_text("Dear diary, this is no video.\n" * 40)
        refused("text.mp4", "not a media file", **{kind: tmp_path / "text.mp4"})

    def test_playlist_named_mp4_fetches_nothing(self, refused, tmp_path, kind):
        (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
        refused("list.mp4", **{kind: tmp_path / "list.mp4"})

    def test_random_bytes(self, refused, tmp_path, kind):
        (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
        refused("noise.mp4", **{kind: tmp_path / "noise.mp4"})

    def test_header_only(self, refused, good, tmp_path, kind):
        (tmp_path / "cut.mp4").write_bytes(good["video"].read_bytes()[:600])
        refused("cut.mp4", "copy it again", **{kind: tmp_path / "cut.mp4"})

    def test_line_break_in_the_name(self, refused, tmp_path, kind):
        refused("two\\nlines.mp4", **{kind: tmp_path / "two\nlines.mp4"})


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_truncated_video(refused, tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (50, 96, 96, 3), np.uint8)
    whole = write_video(tmp_path / f"whole{suffix}", list(noise))
    data = whole.read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: len(data) // 3])
    refused(f"cut{suffix}", "copy the file again", video=tmp_path / f"cut{suffix}")


def test_audio_only_as_video(refused, good):
    refused("speech.wav", "has no video", video=good["audio"])


def test_video_only_as_audio(refused, good):
    refused("face.mp4", "has no audio", audio=good["video"])


def test_audio_of_no_length(refused, tmp_path):
    write_audio(tmp_path / "nothing.wav", np.zeros(0, np.float32), 16000)
    refused("nothing.wav", audio=tmp_path / "nothing.wav")


def test_video_without_a_face(refused, tmp_path):
    path = write_video(tmp_path / "wall.mp4", [np.full((96, 96, 3), 120, np.uint8)] * 4)
    refused("wall.mp4", "no usable face", video=path)


def test_output_in_a_missing_folder(refused, tmp_path):
    refused("its folder does not exist", output=tmp_path / "no" / "such" / "out.mp4")


def test_output_is_a_folder(refused, tmp_path):
    (tmp_path / "dir.mp4").mkdir()
    refused("is a folder", output=tmp_path / "dir.mp4")


def test_output_with_an_unknown_suffix(refused, tmp_path):
    refused("out.gif", ".mp4", output=tmp_path / "out.gif")


def test_output_over_an_input(refused, good):
    before = good["video"].read_bytes()
    refused("is also an input", output=good["video"])
    assert good["video"].read_bytes() == before


def test_sheet_over_an_input(refused, good, tmp_path):
    picture = tmp_path / "person.png"
    save_picture(next(read_frames(good["video"])).pixels, picture)
    before = picture.read_bytes()
    refused("person.png: is also an input", video=picture, sheet=picture)
    assert picture.read_bytes() == before


def test_sheet_in_a_missing_folder_is_told_before_anything_is_drawn(refused, tmp_path):
    refused("its folder does not exist", sheet=tmp_path / "no" / "sheet.png")


def test_a_face_beyond_the_edge_of_the_picture(refused):
    refused("face 9999,10 lies outside the picture", face="9999,10")


def test_a_list_of_jobs_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: no such file"):
        read_jobs(tmp_path / "none.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_in_a_read_only_folder(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused("cannot be written", output=tmp_path / "locked" / "out.mp4")


def test_output_on_a_file_system_that_takes_no_files(refused):
    refused("cannot be written", output=Path("/proc/out.mp4"))


class TestModel:
    @pytest.fixture
    def copy(self, good, tmp_path) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir()
        for file in good["model"].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    def test_no_such_model(self, refused):
        refused("nosuchmodel", model="nosuchmodel")

    def test_not_a_model_folder(self, refused, tmp_path):
        (tmp_path / "hollow").mkdir()
        refused("hollow", model=tmp_path / "hollow")

    def test_wrong_hash(self, refused, copy):
        data = bytearray((copy / "dit.safetensors").read_bytes())
        data[-1] ^= 1
        (copy / "dit.safetensors").write_bytes(data)
        refused("dit.safetensors", "SHA-256", model=copy)

    def test_wrong_shape(self, refused, copy):
        import hashlib

        tensors = load_file(copy / "dit.safetensors")
        name = next(n for n, t in tensors.items() if t.ndim == 2)
        tensors[name] = tensors[name][:, :-1].contiguous()
        save_file(tensors, copy / "dit.safetensors")
        hashes = json.loads((copy / "hashes.json").read_text())
        hashes["dit.safetensors"] = hashlib.sha256((copy / "dit.safetensors").read_bytes()).hexdigest()
        (copy / "hashes.json").write_text(json.dumps(hashes))
        refused("dit.safetensors", "shape", model=copy)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("steps", "0"), ("reference", "next"), ("device", "abacus"), ("crf", "99"), ("crf", "-3")],
)
def test_impossible_settings(refused, flag, value):
    refused(flag, **{flag: value})


@pytest.mark.parametrize(
    "name", ["with space.mp4", "quo'te\".mp4", "-dash.mp4", "line\nbreak.mp4", "100%d.mp4", "ünï.mp4"]
)
def test_odd_names_work(good, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(good["video"].read_bytes())
    Path("sound " + name).with_suffix(".wav").write_bytes(good["audio"].read_bytes())
    sound = Path("sound " + name).with_suffix(".wav")
    files = [f"--video={name}", f"--audio={sound}", f"--model={good['model']}", f"--output=out {name}"]
    arguments = ["generate", *files, "--fit=silence"]
    monkeypatch.setattr(sys, "argv", ["dithead", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code in (0, None), capsys.readouterr().err
    assert len(list(read_frames("out " + name))) == 3


@pytest.mark.parametrize("speaker", ["1", "x=a.wav", "1=", "=a.wav"])
def test_impossible_speakers(refused, speaker):
    refused("NUMBER=FILE", speaker=speaker)


def test_an_unknown_face(refused):
    refused("X,Y in pixels, not 'nobody'", face="nobody")


def test_the_same_speaker_twice(good, tmp_path, monkeypatch, capsys):
    voices = [f"--speaker=1={good['audio']}"] * 2
    flags = [f"--{name}={value}" for name, value in good.items()]
    code, error = run(monkeypatch, capsys, "generate", *flags, *voices, f"--output={tmp_path / 'o.mp4'}")
    assert (code, len(error.strip().splitlines())) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_faces_of_nobody(tmp_path, monkeypatch, capsys):
    wall = write_video(tmp_path / "wall.mp4", [np.full((64, 64, 3), 120, np.uint8)] * 2)
    code, error = run(monkeypatch, capsys, "faces", wall, "-o", tmp_path / "who.png")
    assert (code, "wall.mp4: no face" in error) == (2, True)
    assert list(tmp_path.iterdir()) == [wall]


def test_faces_of_a_presenter(good, tmp_path, monkeypatch, capsys):
    code, error = run(monkeypatch, capsys, "faces", good["video"], "-o", tmp_path / "who.png", "--quiet")
    assert (code or 0, error) == (0, "")
    assert (tmp_path / "who.png").stat().st_size > 1000
