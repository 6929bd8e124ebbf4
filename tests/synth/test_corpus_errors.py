"""Errors while a corpus is made end with one line and exit code 2, and the same command goes on afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.errors import DitheadError
from dithead.synth.corpus.options import SynthOptions, VoicesOptions
from dithead.synth.corpus.people import name_of, synth_corpus
from dithead.synth.corpus.voices import voice_corpus

OPTIONS = {"size": 96, "seconds": 0.2, "seed": 9, "credentials": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, head_folder: Path, espeak: None) -> Path:
    from dithead.synth.scene.renderer import open_context

    try:
        open_context().release()
    except DitheadError as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("made")
    synth_corpus(2, root, SynthOptions(head_folder, **OPTIONS))
    return root


def errors_of(stderr: str) -> list[str]:
    """The lines but those that show how far the work is."""
    return [line for line in stderr.splitlines() if not line.startswith("dithead: clips: ")]


def assert_same(first: Path, second: Path) -> None:
    for index in range(2):
        names = sorted(file.name for file in (first / name_of(index)).iterdir())
        assert names == sorted(file.name for file in (second / name_of(index)).iterdir())
        for name in names:
            assert (first / name_of(index) / name).read_bytes() == (second / name_of(index) / name).read_bytes(), name


def test_an_interrupted_run_goes_on_and_gives_the_same(made: Path, head_folder: Path, tmp_path: Path) -> None:
    def stop(done: int, count: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synth_corpus(2, tmp_path, SynthOptions(head_folder, **OPTIONS), progress=stop)
    assert not (tmp_path / name_of(1) / "clip.json").exists()
    assert synth_corpus(2, tmp_path, SynthOptions(head_folder, **OPTIONS)).made == 1
    assert_same(made, tmp_path)


@pytest.mark.parametrize("limit", [2500, pytest.param(9000, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_then_goes_on(made: Path, head_folder: Path, tmp_path: Path, limit: int) -> None:
    """A limit on file sizes stands for the disk: writing fails within the video, or within the ground truth."""
    sizes = [(made / name_of(0) / name).stat().st_size for name in ("clip.mp4", "truth.npz")]
    assert 2500 < sizes[0] < 9000 < sizes[1]
    arguments = ["synth", "2", "-o", str(tmp_path), "--head-model", str(head_folder), "--size", "96",
                 "--seconds", "0.2", "--seed", "9"]  # fmt: skip
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        f"sys.argv = ['dithead', *{arguments!r}]; from dithead.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert len(errors_of(done.stderr)) == 1, done.stderr
    assert "synth_000000" in done.stderr
    assert not (tmp_path / name_of(0) / "clip.json").exists()
    assert synth_corpus(2, tmp_path, SynthOptions(head_folder, **OPTIONS)).made == 2
    assert_same(made, tmp_path)


def test_a_corpus_that_lacks_newer_options_is_resumed(made: Path, head_folder: Path) -> None:
    config = made / "config.json"
    text = config.read_text()
    older = {name: value for name, value in json.loads(text).items() if name not in ("without", "rest", "speech")}
    config.write_text(json.dumps(older))
    assert synth_corpus(2, made, SynthOptions(head_folder, **OPTIONS)).made == 0
    assert config.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2", "--head-model", "NONE"], "NONE"),
        (["--head-model", "HEAD"], "how many clips"),
        (["2", "--head-model", "HEAD", "--language", "xx"], "'xx'; there are some in en"),
        (["2", "--head-model", "HEAD", "--without", "hats"], "'hats' can be left out; there are people"),
        (["2", "--head-model", "HEAD", "--speech", "NONE"], "no such folder"),
        (["2", "--head-model", "HEAD", "--engine", "abacus"], "unknown engine 'abacus'"),
        (["2", "--head-model", "HEAD", "--hard"], "takes no count"),
        (["--head-model", "HEAD", "--hard", "--labels"], "takes no --labels"),
        (["2", "-n", "3", "--head-model", "HEAD"], "how many clips once"),
    ],
)
def test_wrong_requests_end_with_one_line(
    arguments: list[str], message: str, head_folder: Path, tmp_path: Path
) -> None:
    given = [str(head_folder) if a == "HEAD" else str(tmp_path / "no") if a == "NONE" else a for a in arguments]
    result = CliRunner().invoke(app, ["synth", *given, "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message.replace("NONE", str(tmp_path / "no")) in result.stderr
    assert len(errors_of(result.stderr)) == 1, result.stderr


def test_no_espeak_ends_with_one_line_and_no_clip(
    head_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise DitheadError("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng")

    monkeypatch.setattr("dithead.synth.corpus.script.speak", missing)
    given = ["synth", "1", "-o", str(tmp_path), "--head-model", str(head_folder), "--size", "64", "--seconds", "0.2"]
    result = CliRunner().invoke(app, given)
    assert (result.exit_code, len(errors_of(result.stderr))) == (2, 1)
    assert "apt-get install espeak-ng" in result.stderr
    assert not list(tmp_path.glob("*/clip.json"))


@pytest.mark.slow
def test_ray_makes_the_same_people_and_voices(made: Path, head_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    synth_corpus(2, tmp_path / "c", SynthOptions(head_folder, engine="ray", workers=2, **OPTIONS))
    assert_same(made, tmp_path / "c")
    here = voice_corpus(2, tmp_path / "here", VoicesOptions(seconds=1.0, seed=4))
    on_ray = VoicesOptions(seconds=1.0, seed=4, engine="ray", workers=2)
    there = voice_corpus(2, tmp_path / "there", on_ray)
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
