"""Drawings that pictures of the source stand in for are counted, also across an interruption."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dithead.checkpoint import load_model
from dithead.inference import forecast, output_segments
from dithead.inference.compose.fallback import replace_lost_identity
from dithead.inference.pipeline import generate
from dithead.inference.result import Drawings


def test_what_counts_as_replaced_and_as_mended() -> None:
    drawings = Drawings()
    for replaced, mended in ((0, 0), (0.1, 0.1), (0.3, 0), (0.6, 0.9), (1, 0), (0, 0.2)):
        drawings.add(replaced, mended)
    assert drawings == Drawings(6, 2, 2)
    assert drawings.share == pytest.approx(4 / 6)
    assert drawings.summary() == "6 mouths drawn, 2 of them replaced, 2 mended"
    assert drawings.shares() == pytest.approx({"mouths_replaced": 2 / 6, "mouths_mended": 2 / 6})
    assert Drawings().share == 0


def test_noise_in_place_of_a_face_is_replaced_as_a_whole(pictures) -> None:
    crop = np.ascontiguousarray(pictures[0][48:208, 48:208])
    noise = np.random.default_rng(0).integers(0, 256, crop.shape).astype(np.uint8)
    around = np.ones((160, 160), np.float32)
    assert replace_lost_identity(noise, crop, crop, around).share == 1
    assert replace_lost_identity(crop, crop, crop, around).share == 0


@pytest.mark.slow
def test_a_denoiser_that_learned_nothing_is_found_out(footage, pictures, speech, tmp_path, monkeypatch) -> None:
    """The shipped model with a denoiser of noise: the result looks like the source, and the result says so."""
    model = load_model("small")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.dit.parameters():
            if parameter.numel() > 1:
                parameter.copy_(0.3 * parameter.std() * torch.randn_like(parameter))
    result = generate(footage(pictures), speech, tmp_path / "o.mkv", model=model, fit="silence")
    assert result.drawings.share > 0.9
    assert result.notes[0].startswith("warning: ")
    shown = generate(footage(pictures), speech, tmp_path / "p.mkv", model=model, fit="silence", detail=False)
    assert shown.drawings.share == 0


def test_an_interruption_keeps_the_analysis_the_frames_and_the_count(
    footage, pictures, speech, talker, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    source, output = footage(pictures), tmp_path / "o.mkv"

    def stop(what: str, done: int, total: int | None) -> None:
        if what == "drawing mouths" and done == 10:
            raise KeyboardInterrupt

    options = {"model": talker, "fit": "silence"}
    with pytest.raises(KeyboardInterrupt) as caught:
        generate(source, speech, output, progress=stop, **options)
    assert caught.value.__notes__ == [f"{output}: the analysis of the video and 8 drawn frames are kept"]
    steps = []
    result = generate(source, speech, output, progress=lambda *step: steps.append(step), **options)
    assert not [what for what, *_ in steps if what == "finding the face"], "the analysis is not made again"
    assert steps[-1] == ("drawing mouths", 12, 12)
    assert result.drawings.mouths == 12
    whole = generate(source, speech, tmp_path / "whole.mkv", **options)
    assert (tmp_path / "whole.mkv").read_bytes()[-500:] == output.read_bytes()[-500:]
    assert whole.drawings == result.drawings


def test_an_interruption_before_anything_is_drawn_keeps_the_analysis(
    footage, pictures, speech, talker, tmp_path
) -> None:
    def stop(what: str, done: int, total: int | None) -> None:
        if what == "drawing mouths":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        generate(footage(pictures), speech, tmp_path / "o.mkv", progress=stop, model=talker)
    assert caught.value.__notes__ == [f"{tmp_path / 'o.mkv'}: the analysis of the video is kept"]


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"fit": "bounce"}, 15),
        ({"fit": "silence"}, 12),
        ({"fit": "cut", "end": 0.2}, 5),
        ({"start": 0.2, "end": 0.4}, 15),
    ],
)
def test_totals_of_the_progress_know_the_part_and_the_length_of_the_speech(
    footage, pictures, speech, talker, tmp_path, options, frames
) -> None:
    steps: dict[str, list[tuple[int, int | None]]] = {}
    generate(
        footage(pictures), speech, tmp_path / "o.mkv", model=talker,
        progress=lambda what, done, total: steps.setdefault(what, []).append((done, total)), **options,
    )  # fmt: skip
    assert steps["drawing mouths"][-1] == (frames, frames)
    assert {total for _, total in steps["drawing mouths"]} == {frames}
    first_pass = {total for _, total in steps["finding the face"]}
    assert first_pass <= {steps["finding the face"][-1][0], None}


def test_the_sheet_says_how_many_drawings_were_replaced(footage, pictures, speech, talker, tmp_path) -> None:
    source, sheet = footage(pictures), tmp_path / "s.png"
    generate(source, speech, tmp_path / "o.mkv", model=talker, sheet=sheet, fit="silence", start=0.2, end=0.4)
    rows = np.split(cv2.imread(str(sheet))[..., ::-1], 2)
    small = cv2.resize(pictures[5], (192, 192), interpolation=cv2.INTER_AREA).astype(int)
    for row in rows:  # both begin with the frame at 0.2 s
        assert np.abs(row[40:90, :192].astype(int) - small[40:90]).mean() < 4, "the part that was used"
    cv2.imwrite(str(tmp_path / "p.png"), pictures[0][..., ::-1])
    generate(tmp_path / "p.png", speech, tmp_path / "p.mkv", model=talker, sheet=sheet)
    upper, lower = (row[110:180] for row in np.split(cv2.imread(str(sheet)), 2))
    assert np.array_equal(upper[:, 192:384], upper[:, 384:576]), "a picture stays the same"
    assert not np.array_equal(lower[:, 192:384], lower[:, 384:576]), "and what was made of it moves"


def test_a_first_line_says_how_long_it_will_take(
    footage, pictures, speech, talker, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(forecast, "_FEWEST", 1)
    monkeypatch.setenv("DITHEAD_CACHE", str(tmp_path / "cache"))
    source = footage(pictures)
    for basis in ("a first guess", "judged by earlier jobs"):
        generate(source, speech, tmp_path / "o.mkv", model=talker, progress=True, fit="loop")
        first = capsys.readouterr().err.splitlines()[0]
        assert first.startswith(f"dithead: {source} (256x256), 0.6 s of speech: 15 frames, about ")
        assert first.endswith(f" on this machine ({basis})")
