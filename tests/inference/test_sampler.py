"""Sampling: the chunks, the reference that is shown, and what is told of the lips."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.face.masks import box_polygon
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.lip_calibration import LipCalibration, told
from dithead.inference.synthesise.sampler import MouthSampler, within
from dithead.prepare.conditions import to_tensor


def sampler() -> MouthSampler:
    """Draws four frames together, with random weights."""
    torch.manual_seed(0)
    model = build_model(get_preset("tiny", ["model.dit.temporal=4"]).model)
    with torch.no_grad():
        for parameter in model.dit.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    speech = torch.randn(100, 80, generator=torch.Generator().manual_seed(1))
    return MouthSampler(model, {None: speech}, seed=0, steps=None, reference="static")


def footage(count: int) -> tuple[Tracklet, np.ndarray, np.ndarray]:
    crops = np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3), np.uint8)
    moves = np.tile(np.eye(2, 3), (count, 1, 1))
    lips = np.zeros((20, 2), np.float32)
    return Tracklet(0, count, moves, box_polygon(64), lips, crops[0], False, False), crops, np.arange(count) / 25


def drawn(mouths: MouthSampler, pieces: list[int], keep: Path | None = None) -> np.ndarray:
    """Eleven frames, drawn in ``pieces``; with ``keep`` each by another one, who reads what the last one wrote."""
    tracklet, crops, times = footage(11)
    made, at = [], 0
    for piece in pieces:
        made.append(mouths.draw(tracklet, crops[at : at + piece], times[at : at + piece]))
        at += piece
        if keep is not None:
            mouths.save_state(keep)
            mouths = sampler()
            mouths.load_state(keep)
    return np.concatenate(made).astype(int)


def test_frames_drawn_together_do_not_depend_on_the_batch_nor_on_a_crash(tmp_path: Path) -> None:
    assert [sampler().room(batch, first=True) for batch in (1, 2, 3, 4, 9)] == [2, 2, 2, 4, 8]
    whole = drawn(sampler(), [11])
    assert np.abs(drawn(sampler(), [2, 4, 2, 3]) - whole).max() <= 1
    assert np.abs(drawn(sampler(), [4, 4, 3], tmp_path / "state.npz") - whole).max() <= 1
    assert np.abs(drawn(sampler(), [3, 4, 4]) - whole).max() > 1, "chunks begin elsewhere: other pictures"


def test_after_a_crash_the_same_picture_goes_on_lending(tmp_path: Path) -> None:
    mouths, later = sampler(), sampler()
    tracklet, crops, _ = footage(3)
    tracklet.mouths = kept(crops, [0.0, 0.1, 0.2], 0.1)
    for opening in (0.2, 0.14):  # now nearer to the second, but the third lent last
        mouths.reference_bank.lender(tracklet, opening)
    mouths.save_state(tmp_path / "state.npz")
    later.load_state(tmp_path / "state.npz")
    assert later.reference_bank.lenders == {(0, 0): 2}
    assert np.array_equal(later.reference_bank.lender(tracklet, 0.14).picture, crops[2])


def test_a_chunk_is_drawn_in_view_of_the_one_before() -> None:
    tracklet, crops, times = footage(11)
    mouths, other = sampler(), sampler()
    mouths.draw(tracklet, crops[:4], times[:4])
    after, first = (m.draw(tracklet, crops[4:6], times[4:6]).astype(int) for m in (mouths, other))
    assert np.abs(after - first).max() > 2


def speaker(**config: float) -> MouthSampler:
    """Draws by its reference, with a calibration of its own."""
    torch.manual_seed(0)
    changes = [f"model.{key}={value}" for key, value in config.items()]
    model = build_model(get_preset("tiny", changes).model)
    with torch.no_grad():
        for parameter in [*model.dit.parameters(), *model.audio.parameters()]:
            parameter += 0.3 * torch.randn_like(parameter)
    model.dit.set_calibration(torch.ones(9), torch.zeros(9), torch.full((9,), 0.5))
    speech = torch.randn(100, 80, generator=torch.Generator().manual_seed(1))
    return MouthSampler(model, {None: speech}, seed=0, steps=None, reference="static")


def kept(crops: np.ndarray, openings: list[float], mean_opening: float) -> StoredReferences:
    store, count = ImageStore(), len(openings)
    images = store.put([*crops[:count], *crops[:count]])
    return StoredReferences(store, images, np.float32(openings), mean_opening, np.stack([np.eye(2, 3)] * count))


def test_each_frame_is_shown_the_mouth_that_is_as_open_as_heard_for_this_person() -> None:
    mouths = speaker(opening=0.035, opening_unit=0.05)
    tracklet, crops, times = footage(6)
    tracklet.mouths, tracklet.opening = kept(crops, [0.0, 0.1, 0.2], 0.1), 0.05
    tracklet.calibration = LipCalibration(np.full(9, 0.25, np.float32), 0.5)
    every = told(mouths.talker, mouths.features[None], times)[1]
    lips = every[:, -1].numpy()
    wanted = np.clip(0.1 + (lips - 0.25) * 0.05 * (0.05 / (0.5 * 0.05)), 0, 1.1 * 0.2)
    assert np.ptp(wanted) > 0.02, "the speech of this test moves the mouth"
    assert mouths.target_openings(tracklet, times) == pytest.approx(wanted, abs=1e-3)
    seen = []
    mouths.talker.generate = lambda masked, mask, reference, *rest, **more: (
        seen.append((reference, more["previous_latent"], more["lips"])) or (masked, torch.zeros(len(masked), 8, 4, 4))
    )
    mouths.draw(tracklet, crops, times)
    reference_set = mouths.reference_bank.of(tracklet)
    (shown, latents, heard), nearest = seen[0], reference_set.nearest(wanted)
    assert len(set(nearest.tolist())) > 1
    assert torch.equal(shown, to_tensor(reference_set.crops[nearest]))
    assert latents.shape == (6, 8, 4, 4)
    wide = min(1.6, 0.05 / (0.5 * 0.05))
    assert heard[:, -1].numpy() == pytest.approx(0.5 + within((every - 0.25) * wide, 3.0)[:, -1].numpy(), abs=1e-2)


def test_a_model_that_does_not_say_what_its_numbers_mean_is_shown_one_reference() -> None:
    mouths = speaker()
    tracklet, crops, times = footage(4)
    tracklet.mouths = kept(crops, [0.0, 0.1], 0.05)
    seen = []
    mouths.talker.generate = lambda masked, mask, reference, *rest, **more: (
        seen.append(reference) or (masked, torch.zeros(len(masked), 8, 4, 4))
    )
    mouths.draw(tracklet, crops, times)
    assert mouths.target_openings(tracklet, times) is None
    assert torch.equal(seen[0], to_tensor(tracklet.reference[None]))


def test_a_lone_reference_takes_more_telling() -> None:
    mouths = speaker(opening=0.035, opening_unit=0.05)
    tracklet, crops, times = footage(4)
    told_of = {}
    for name, openings in (("lone", [0.05]), ("moving", [0.0, 0.1])):
        tracklet.mouths = kept(crops, openings, 0.05)
        told_of[name] = mouths._listen(tracklet, times).lips - 0.5
    assert within(told_of["lone"] / 2.4, 3.0).numpy() == pytest.approx(told_of["moving"].numpy(), rel=1e-3)


def test_strange_lips_are_told_milder_and_usual_ones_as_heard() -> None:
    offsets = torch.tensor([[0.1, 0.0], [30.0, 40.0], [0.0, 0.0]])
    found = within(offsets, 3.0)
    torch.testing.assert_close(found[0], offsets[0], rtol=1e-2, atol=0)
    torch.testing.assert_close(found[1], torch.tensor([1.8, 2.4]))
    assert torch.equal(found[2], offsets[2])
