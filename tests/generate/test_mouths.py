"""How widely the lips move: as widely as the person's own, where the source says something about that."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.face.masks import box_polygon
from dithead.generate.mouths import STILL_MOUTH, MouthMaker, expression
from dithead.generate.run import Run


def test_the_spread_of_the_source_over_that_of_the_model() -> None:
    assert expression(0.049, 0.035) == pytest.approx(1.4)
    assert expression(0.03, 0.035) == pytest.approx(0.857, abs=1e-3)


def test_a_still_source_and_a_model_without_a_spread_leave_it_as_learned() -> None:
    assert expression(STILL_MOUTH / 2, 0.035) == 1
    assert expression(0.07, 0.0) == 1


def test_extremes_are_bounded() -> None:
    assert expression(5.0, 0.035) == 1.6
    assert expression(0.013, 0.035) == 0.6


def maker() -> MouthMaker:
    """Draws four frames together, with random weights."""
    torch.manual_seed(0)
    model = build_model(get_preset("tiny", ["model.dit.temporal=4"]).model)
    with torch.no_grad():
        for parameter in model.dit.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    speech = torch.randn(100, 80, generator=torch.Generator().manual_seed(1))
    return MouthMaker(model, {None: speech}, seed=0, steps=None, reference="static")


def footage(count: int) -> tuple[Run, np.ndarray, np.ndarray]:
    crops = np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3), np.uint8)
    moves = np.tile(np.eye(2, 3), (count, 1, 1))
    lips = np.zeros((20, 2), np.float32)
    return Run(0, count, moves, box_polygon(64), lips, crops[0], False, False), crops, np.arange(count) / 25


def drawn(mouths: MouthMaker, pieces: list[int], keep: Path | None = None) -> np.ndarray:
    """Eleven frames, drawn in ``pieces``; with ``keep`` each by another one, who reads what the last one wrote."""
    run, crops, times = footage(11)
    made, at = [], 0
    for piece in pieces:
        made.append(mouths.draw(run, crops[at : at + piece], times[at : at + piece]))
        at += piece
        if keep is not None:
            mouths.save_state(keep)
            mouths = maker()
            mouths.load_state(keep)
    return np.concatenate(made).astype(int)


def test_frames_drawn_together_do_not_depend_on_the_batch_nor_on_a_crash(tmp_path: Path) -> None:
    assert [maker().room(batch, first=True) for batch in (1, 2, 3, 4, 9)] == [2, 2, 2, 4, 8]
    whole = drawn(maker(), [11])
    assert np.abs(drawn(maker(), [2, 4, 2, 3]) - whole).max() <= 1
    assert np.abs(drawn(maker(), [4, 4, 3], tmp_path / "state.npz") - whole).max() <= 1
    assert np.abs(drawn(maker(), [3, 4, 4]) - whole).max() > 1, "chunks begin elsewhere: other pictures"


def test_a_chunk_is_drawn_in_view_of_the_one_before() -> None:
    run, crops, times = footage(11)
    mouths, other = maker(), maker()
    mouths.draw(run, crops[:4], times[:4])
    after, first = (m.draw(run, crops[4:6], times[4:6]).astype(int) for m in (mouths, other))
    assert np.abs(after - first).max() > 2
