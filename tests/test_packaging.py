"""What is built from the project: the wheel, the source archive and the container images."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dithead import __version__

ROOT = Path(__file__).parents[1]
MEGABYTE = 1_000_000
NEEDED = (
    "dithead/py.typed",
    "dithead/face/data/face_mesh.tflite",
    "dithead/face/data/NOTICE.md",
    "dithead/synth/data/head.npz",
    "dithead/weights/small/config.json",
    "dithead/weights/small/NOTICE.md",
)
"""Files that the wheel must hold, one of each kind."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order: name and arguments, with continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def stages() -> dict[str, str]:
    """The Dockerfile's stages by name, each with the image or the stage that it begins with."""
    starts = [rest.split() for name, rest in instructions() if name == "FROM"]
    return {words[2]: words[0] for words in starts}


def copied() -> Iterator[str]:
    """What the Dockerfile copies from the folder that it is built in."""
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            yield from rest.split()[:-1]


def enters_the_image(name: str) -> bool:
    """Tell whether .dockerignore lets a file or folder of the root through: its last matching line decides."""
    passes = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch.fnmatch(name, pattern):
            passes = line.startswith("!")
    return passes


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    assert {"pyproject.toml", "src", "constraints.txt"} <= set(copied())
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    assert [name for name in copied() if not enters_the_image(name)] == []


def test_nothing_else_enters_the_image() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    entering = {name.partition("/")[0] for name in tracked if enters_the_image(name.partition("/")[0])}
    assert entering == set(copied())


def test_the_stages_of_the_dockerfile_build_on_one_another() -> None:
    assert list(stages()) == ["wheel", "base", "cuda", "cpu"]  # the last is built by default
    assert stages()["cuda"] == stages()["cpu"] == "base"
    taken = {rest.split()[0].removeprefix("--from=") for name, rest in instructions() if rest.startswith("--from")}
    assert taken == {"wheel"}
    assert all(re.fullmatch(r"python:\$\{PYTHON\}-slim", stages()[name]) for name in ("wheel", "base"))


def test_the_image_runs_dithead_for_any_user() -> None:
    found = dict(instructions())
    assert found["ENTRYPOINT"] == '["dithead"]'
    assert "USER" not in found  # `docker run --user` says whose files the output is
    assert any("HOME=/tmp" in rest for name, rest in instructions() if name == "ENV")


def built(folder: Path, *options: str) -> dict[str, str]:
    """Build in a folder; returns the SHA-256 of each file made, by its name."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MYPYPATH"}}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "made", *options, "."]
    environment |= {"SOURCE_DATE_EPOCH": "1764000000"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "made").iterdir()}


def checkout(folder: Path, mask: int) -> Path:
    """Copy the files that git tracks, with the permissions that a user with this umask gets."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), tracked.splitlines()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        target.chmod(0o666 & ~mask)
    shutil.copyfile(ROOT / ".gitignore", folder / ".gitignore")
    return folder


@pytest.mark.slow
def test_two_builds_have_the_same_hashes_and_the_wheel_is_whole(tmp_path: Path) -> None:
    one, other = checkout(tmp_path / "one", 0o022), checkout(tmp_path / "elsewhere" / "other", 0o077)
    hashes = built(one)
    assert sorted(name.rpartition("-")[2] for name in hashes) == [f"{__version__}.tar.gz", "any.whl"]
    assert built(other) == hashes
    (wheel,) = (one / "made").glob("*.whl")
    assert wheel.stat().st_size < 100 * MEGABYTE
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert set(NEEDED) <= names
        assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"dithead"}
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        assert "Requires-Python: >=3.11" in archive.read(metadata).decode()


@pytest.mark.slow
def test_the_wheel_builds_from_what_the_dockerfile_copies(tmp_path: Path) -> None:
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tmp_path / name)
    assert [name.rpartition("-")[2] for name in built(tmp_path, "--wheel")] == ["any.whl"]
