"""Raw videos to a talking video through the command line alone, with the tiny preset on the demo's presenters."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.media.video import probe

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_from_raw_videos_to_a_talking_video(tmp_path: Path) -> None:
    for name in ("ben", "mia"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        shutil.copy(EXAMPLES / "presenters" / f"{name}.mp4", tmp_path / "raw" / name)
    data, first, audio, second = (tmp_path / name for name in ("data", "ae", "audio", "dit"))
    result = run("prepare", tmp_path / "raw", "-o", data, "--size", "64", "--val-identity", "ben", "--json")
    assert json.loads(result)["identities"] == 2
    stage = ("--data", data, "--preset", "tiny", "--device", "cpu")
    run("train", "autoencoder", *stage, "-o", first)
    run("train", "audio", *stage, "-o", audio)
    run("train", "dit", *stage, "--autoencoder", first, "--audio", audio, "-o", second)
    source, output = EXAMPLES / "presenters" / "ben.mp4", tmp_path / "out.mp4"
    speech = EXAMPLES / "speech" / "spanish.flac"
    result = run("generate", "--video", source, "--audio", speech, "--model", second / "model", "-o", output, "--json")
    made, true = probe(output), probe(source)
    assert (made.frames, made.width, made.height, made.fps) == (true.frames, true.width, true.height, true.fps)
    assert json.loads(result)["faces_missed"] == 0
