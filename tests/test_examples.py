"""The demo does what the README says, on the material and the weights that ship."""

import importlib.util
from pathlib import Path

import cv2
import pytest

from dithead.media.video import probe

EXAMPLES = Path(__file__).parents[1] / "examples"
MOST_BYTES = 4 * 2**20


def test_the_material_is_small() -> None:
    material = [*EXAMPLES.glob("presenters/*"), *EXAMPLES.glob("speech/*")]
    assert len(material) >= 4
    assert sum(file.stat().st_size for file in material) <= MOST_BYTES


@pytest.mark.slow
def test_the_demo_writes_a_video_and_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    demo.main(folder=tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 3
    assert str(tmp_path / "portrait.mp4") in printed
    assert str(tmp_path / "talking.mp4") in printed
    source, made = (probe(path) for path in (EXAMPLES / "presenters" / "mia.mp4", tmp_path / "talking.mp4"))
    assert (made.width, made.height, made.fps, made.frames) == (source.width, source.height, source.fps, source.frames)
    sheet = cv2.imread(str(tmp_path / "talking.png"))
    assert sheet is not None
    assert sheet.shape[0] == 3 * 192
