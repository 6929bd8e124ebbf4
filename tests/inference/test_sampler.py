"""Sampling: the reference of each frame, the calibrated lips, and what survives an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.face.masks import box_polygon, polygon_mask
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import LipCalibration, Tracklet
from dithead.inference.synthesise import heard_speech
from dithead.inference.synthesise.encoded_references import reference_share
from dithead.inference.synthesise.heard_speech import limited
from dithead.inference.synthesise.lip_calibration import predict_lips
from dithead.inference.synthesise.personal_lips import with_closures
from dithead.inference.synthesise.reference_set import LipTarget
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.prepare.conditions import to_tensor


def sampler() -> MouthSampler:
    """Draws with random weights."""
    torch.manual_seed(0)
    model = build_model(get_preset("tiny").model)
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


def test_after_a_crash_the_same_picture_goes_on_as_donor(tmp_path: Path) -> None:
    mouths, later = sampler(), sampler()
    tracklet, crops, _ = footage(3)
    tracklet.references = kept(crops, [0.0, 0.1, 0.2], 0.1)
    for opening in (0.2, 0.14):  # now nearer to the second, but the third was the last donor
        mouths.bank.frame_reference(tracklet, LipTarget(opening, 0.55))
    mouths.save_state(tmp_path / "state.npz")
    later.load_state(tmp_path / "state.npz")
    assert later.bank.donors == {(0, 0): 2}
    assert np.array_equal(later.bank.frame_reference(tracklet, LipTarget(0.14, 0.55)).donor.picture, crops[2])


def speaker(**config: float | list[float]) -> MouthSampler:
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
    slot = store.put([*crops[:count], *crops[:count]])
    widths, every = np.linspace(0.5, 0.6, count, dtype=np.float32), np.arange(count)
    moves = np.stack([np.eye(2, 3)] * count)
    return StoredReferences(
        store, slot, np.float32(openings), widths, mean_opening, 0.55, every[: count - 1], every[-1:], moves
    )


def test_each_frame_gets_the_reference_that_is_as_open_as_predicted_for_this_person() -> None:
    mouths = speaker(opening=0.035, opening_unit=0.05, width_units=[0, 0.04, *[0] * 7])
    tracklet, crops, times = footage(6)
    tracklet.references, tracklet.opening_spread = kept(crops, [0.0, 0.1, 0.2], 0.1), 0.05
    tracklet.calibration, tracklet.width_spread = LipCalibration(np.full(9, 0.25, np.float32), 0.5, 0.02), 0.03
    every = predict_lips(mouths.talker, mouths.speech.features[None], times)[1]
    lips = every[:, -1].numpy()
    wanted = np.clip(0.1 + (lips - 0.25) * 0.05 * (0.05 / (0.5 * 0.05)), 0, 1.1 * 0.2)
    assert np.ptp(wanted) > 0.02, "the speech of this test moves the mouth"
    tracklet.width_slope = 0.2
    widths = 0.55 + 0.2 * (wanted - 0.1) + 0.85 * (every[:, 1].numpy() - 0.25) * 0.04 * (0.03 / 0.02)
    assert np.ptp(widths) > 0.01, "and changes its width"
    targets = mouths.speech.targets(tracklet, times)
    assert [t.opening for t in targets] == pytest.approx(wanted, abs=1e-3)
    assert [t.width for t in targets] == pytest.approx(widths, abs=1e-3)
    seen = []
    mouths.talker.generate = lambda c, noise, **more: (
        seen.append((c.reference, c.reference_latent, c.lips)) or (c.masked, torch.zeros(len(c.masked), 8, 4, 4))
    )
    mouths.draw(tracklet, crops, times)
    reference_set = mouths.bank.of(tracklet)
    references, latents, lips = seen[0]
    shares = [reference_set.around(LipTarget(*pair)) for pair in zip(wanted, widths, strict=True)]
    assert len({max(each, key=each.__getitem__) for each in shares}) > 1
    pictures = to_tensor(reference_set.crops)
    expected = [sum(pictures[k] * share for k, share in each.items()) for each in shares]
    torch.testing.assert_close(references, torch.stack(expected), atol=5e-3, rtol=0)
    assert latents.shape == (6, 8, 4, 4)
    wide = min(1.6, 0.05 / (0.5 * 0.05))
    assert lips[:, -1].numpy() == pytest.approx(0.5 + limited((every - 0.25) * wide, 3.0)[:, -1].numpy(), abs=1e-2)


def test_what_is_decoded_is_half_the_reference_where_that_has_the_wanted_lips() -> None:
    """Nothing is taken of a single reference, which has other lips; half as much of one that was made by geometry."""
    mouths, seen = speaker(opening=0.035, opening_unit=0.05), []
    tracklet, crops, times = footage(2)
    plain = replace(tracklet)
    tracklet.references = kept(crops, [0.0, 0.1], 0.05)
    made = replace(tracklet, start=1, references=tracklet.references._replace(opened=True))
    generate = mouths.talker.generate
    mouths.talker.generate = lambda c, noise, **more: (
        seen.append((c, generate(c, noise, **more)[1])) or generate(c, noise)
    )
    for each in (tracklet, plain, made):
        mouths.draw(each, crops, times)
    (conditions, latent), *others = seen
    shares = conditions.reference_share
    assert shares.numpy() == pytest.approx(0.5, abs=0.01)
    assert others[0][0].reference_share is None
    assert others[1][0].reference_share.max() <= 0.25
    alone = generate(replace(conditions, reference_share=None), mouths.noise)[1]
    inside = (latent != alone).any(1, keepdim=True).expand_as(latent)
    assert inside.any(), "latents under the mask differ"
    mixed = torch.lerp(alone, conditions.reference_latent, shares[:, None, None, None])
    torch.testing.assert_close(latent[inside], mixed[inside])


@pytest.mark.parametrize(("more_open", "share"), [(0.0, 0.5), (0.015, 0.25), (0.03, 0.0), (0.1, 0.0), (-0.015, 0.5)])
def test_a_reference_counts_less_the_more_it_is_open_beyond_what_is_wanted(more_open: float, share: float) -> None:
    assert reference_share(more_open, made=False) == pytest.approx(share)
    assert reference_share(more_open, made=True) == pytest.approx(share / 2)


def test_a_model_without_an_opening_unit_gets_one_reference() -> None:
    mouths = speaker()
    tracklet, crops, times = footage(4)
    tracklet.references = kept(crops, [0.0, 0.1], 0.05)
    seen = []
    mouths.talker.generate = lambda c, noise, **more: (
        seen.append(c.reference) or (c.masked, torch.zeros(len(c.masked), 8, 4, 4))
    )
    mouths.draw(tracklet, crops, times)
    assert mouths.speech.targets(tracklet, times) is None
    assert torch.equal(seen[0], to_tensor(tracklet.reference[None]))


def test_lips_of_opened_references_move_as_widely_as_people_s_do_whatever_the_source_shows() -> None:
    mouths = speaker(opening=0.035, opening_unit=0.05)
    tracklet, crops, times = footage(4)
    predicted_of = {}
    for opened, spread in ((False, 0.035), (True, 0.0), (True, 0.013)):
        tracklet.references, tracklet.opening_spread = kept(crops, [0.0, 9.0], 4.0)._replace(opened=opened), spread
        predicted_of[opened, spread] = np.array([t.opening for t in mouths.speech.targets(tracklet, times)]) - 4.0
        mouths.speech._targets.clear()
    usual, *others = predicted_of.values()
    for found in others:
        assert found == pytest.approx(1.2 * usual, rel=1e-3)


def test_lips_that_are_nearly_closed_are_drawn_closed() -> None:
    mouths = speaker(opening=0.035, opening_unit=0.05)
    tracklet, crops, times = footage(6)
    tracklet.references, tracklet.opening_spread = kept(crops, [0.0, 0.1], -0.012), 0.035
    lips = predict_lips(mouths.talker, mouths.speech.features[None], times)[1][:, -1].numpy()
    wanted = -0.012 + (lips - 0.5) * 0.05
    assert ((wanted > 0) & (wanted < 0.015)).any()
    openings = [lips.opening for lips in mouths.speech.targets(tracklet, times)]
    assert openings == pytest.approx(with_closures(wanted), abs=1e-4)
    assert min(openings) == 0


def test_unusual_lips_are_limited_and_usual_ones_stay() -> None:
    offsets = torch.tensor([[0.1, 0.0], [30.0, 40.0], [0.0, 0.0]])
    found = limited(offsets, 3.0)
    torch.testing.assert_close(found[0], offsets[0], rtol=1e-2, atol=0)
    torch.testing.assert_close(found[1], torch.tensor([1.8, 2.4]))
    assert torch.equal(found[2], offsets[2])


def test_another_mask_of_the_same_tracklet_gets_references_encoded_under_it() -> None:
    """Latents depend on the mask; the mask-leak test draws one tracklet under several masks with one sampler."""
    mouths = speaker(opening=0.035, opening_unit=0.05)
    tracklet, crops, times = footage(2)
    tracklet.references = kept(crops, [0.0, 0.1], 0.05)
    small = replace(tracklet, polygon=np.float32([(24, 40), (40, 40), (40, 60), (24, 60)]))
    seen = []
    generate = mouths.talker.generate
    mouths.talker.generate = lambda conditions, *rest, **more: (
        seen.append(conditions.reference_latent) or generate(conditions, *rest, **more)
    )
    mouths.draw(tracklet, crops, times)
    mouths.draw(small, crops, times)
    mask = torch.from_numpy(polygon_mask(small.polygon, mouths.size))[None, None]
    references = to_tensor(mouths.bank.of(small).crops)
    with torch.inference_mode():
        fresh = torch.cat([mouths.talker.reference_latents(each, mask) for each in references.split(4)])
    around = [mouths.bank.of(small).around(lips) for lips in mouths.speech.targets(small, times)]
    torch.testing.assert_close(seen[1], torch.stack([sum(fresh[k] * w for k, w in each.items()) for each in around]))
    assert not torch.equal(seen[0], seen[1])


def test_the_batch_and_the_place_where_a_job_goes_on_change_nothing(tmp_path: Path) -> None:
    """References are encoded when they are first needed, which another batch or a later start does in another order."""

    def drawn(parts: list[slice], state: Path | None = None) -> tuple[np.ndarray, list[np.ndarray], MouthSampler]:
        mouths = speaker(opening=0.035, opening_unit=0.05, width_units=[0, 0.04, *[0] * 7])
        if state is not None:
            mouths.load_state(state)
        images = np.concatenate([mouths.draw(tracklet, crops[part], times[part]) for part in parts])
        lent = [each for part in parts for each in mouths.frame_references(tracklet, times[part])]
        return images, [np.concatenate([each.nearest, each.donor.picture]) for each in lent], mouths

    (tracklet, crops, _), times = footage(6), np.linspace(0.1, 0.9, 6)
    tracklet.references, tracklet.opening_spread, tracklet.width_spread = kept(crops, [0.0, 0.1, 0.2], 0.1), 0.05, 0.03
    tracklet.opening_levels = np.array([0.0, 0.05, 0.1, 0.15, 0.2])
    levels = np.array([1.1, 1.3, 1.4, 1.6, 1.9], np.float32)  # what the random weights predict lies around these
    mean = np.array([0, -0.6, *[0] * 6, 1.4], np.float32)
    tracklet.calibration = LipCalibration(mean, 0.5, 0.02, levels, 0.8)
    whole, lent, _ = drawn([slice(0, 6)])
    assert len({each.tobytes() for each in lent}) > 2, "several references are used"
    single, lent_one_by_one, _ = drawn([slice(k, k + 1) for k in range(6)])
    assert np.abs(single.astype(int) - whole).max() <= 1, "the last bit of a matrix product may differ"
    assert all(map(np.array_equal, lent_one_by_one, lent))
    *_, first = drawn([slice(0, 4)])
    first.save_state(tmp_path / "state.npz")
    rest, lent_later, _ = drawn([slice(4, 6)], tmp_path / "state.npz")
    again, *_ = drawn([slice(4, 6)])
    assert np.array_equal(rest, again), "where it goes on, and what was drawn before, change nothing"
    assert all(map(np.array_equal, lent_later, lent[4:]))


def test_speech_that_was_heard_ahead_is_not_heard_again_and_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tracklet, crops, times = footage(3)
    expected = sampler().draw(tracklet, crops, times)
    mouths = sampler()
    mouths.hear_ahead(times)
    monkeypatch.setattr(heard_speech, "predict_lips", lambda *_: pytest.fail("heard again"))
    mouths.hear(tracklet, times)
    assert np.array_equal(mouths.draw(tracklet, crops, times), expected)


def test_where_faces_have_speech_of_their_own_nothing_is_heard_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    mouths = sampler()
    mouths.speech.features = {None: mouths.speech.features[None], 1: mouths.speech.features[None]}
    monkeypatch.setattr(heard_speech, "predict_lips", lambda *_: pytest.fail("heard"))
    mouths.hear_ahead(np.zeros(1))
