"""A head that turns: its pictures are grouped by pose, and each frame gets references of about its own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from dithead.inference.analyse import face_samples
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import choose_references
from dithead.inference.analyse.serialise import load_analysis, save_analysis
from dithead.inference.analyse.views import (
    as_seen_ahead,
    choose_view_references,
    frame_views,
    view_turns,
    widths_as_seen_ahead,
)
from dithead.inference.synthesise.reference_bank import ReferenceBank
from dithead.inference.synthesise.reference_set import LipTarget
from dithead.prepare.conditions import to_tensor
from inference.test_first_pass import analysed, face
from inference.test_references import find, kept, tracklet
from inference.test_sampler import footage, speaker
from inference.test_sampler import kept as kept_crops

TURNS = np.linspace(-0.6, 0.6, 90)  # sines of the yaw of a head that turns from the one side to the other
OPENINGS = np.tile(np.linspace(0, 0.3, 9), 10)
WIDTHS = np.full(90, 0.5)


def test_a_head_that_keeps_its_pose_has_one_view_and_the_references_it_always_had():
    turns, sharpness = np.random.default_rng(0).normal(0.2, 0.04, 90), np.ones(90)
    middles = view_turns(turns, OPENINGS)
    assert middles == pytest.approx([np.median(turns)])
    chosen = choose_view_references(OPENINGS, WIDTHS, turns, sharpness, middles)
    assert chosen == [choose_references(OPENINGS, WIDTHS, turns, sharpness)]
    assert not frame_views(turns, middles).any()


def test_a_head_that_turns_has_references_from_closed_to_open_in_every_pose():
    middles = view_turns(TURNS, OPENINGS)
    assert len(middles) == 4
    assert abs(middles[0]) == min(abs(middles)), "the usual pose comes first"
    views = choose_view_references(OPENINGS, WIDTHS, TURNS, np.ones(90), middles)
    for middle, (chosen, wide) in zip(middles, views, strict=True):
        assert wide == chosen, "a mouth of one width"
        assert np.abs(TURNS[chosen] - middle).max() < 0.22
        assert np.ptp(OPENINGS[chosen]) > 0.2
        assert (np.diff(OPENINGS[chosen]) > 0).all()


def test_a_pose_in_which_the_mouth_hardly_opens_lends_nothing():
    openings = np.where(TURNS > 0.15, 0.02, OPENINGS)
    middles = view_turns(TURNS, openings)
    assert len(middles) == 3
    assert max(middles) < 0.25
    assert middles[frame_views(TURNS, middles)[-1]] == max(middles), "the nearest pose stands in"


def test_where_the_mouth_opens_in_one_pose_alone_all_poses_are_views():
    """Pictures of one pose, lent to all, would put background on the near cheek of the others."""
    openings = np.where(TURNS > 0.35, OPENINGS, 0.0)
    middles = view_turns(TURNS, openings)
    assert len(middles) == 4
    for chosen, middle in zip(
        choose_view_references(openings, WIDTHS, TURNS, np.ones(90), middles), middles, strict=True
    ):
        assert np.abs(TURNS[chosen.narrow] - middle).max() < 0.25


def test_a_mouth_that_opens_in_one_pose_alone_is_opened_by_geometry_in_the_others(monkeypatch):
    monkeypatch.setattr(face_samples, "with_mouth", lambda crop, picture, *_: (crop, picture))
    yaws = np.linspace(-35, 35, 60)
    swing = [face(yaw=float(yaw)) for yaw in yaws]
    for k, points in enumerate(swing):
        points[14] = points[13] + (0, 5 * (k % 4) if yaws[k] > 15 else 0, 0)
    [own] = analysed(swing).tracklets
    every = (own.references, *own.turned_references)
    assert len(every) == 4
    assert [each.opened for each in every].count(False) == 1
    assert all(len(each.openings) > 10 for each in every if each.opened)


def test_a_frame_keeps_its_view_while_no_other_is_clearly_nearer():
    middles = np.array([0.0, 0.3])
    turns = [0.0, 0.14, 0.16, 0.14, np.nan, 0.2, 0.16, 0.14, 0.05]
    assert frame_views(np.array(turns), middles).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert frame_views(np.array([0.2, 0.14]), middles).tolist() == [1, 1]


def test_openings_are_compared_in_one_unit():
    """The eyes of a head turned by 60 degrees seem half as far apart, so the same mouth seems twice as open."""
    seen = as_seen_ahead(np.array([0.1, 0.1, 0.2]), np.sin(np.radians([0, 0, 60])))
    assert seen == pytest.approx([0.1, 0.1, 0.1])
    assert as_seen_ahead(np.array([0.1]), np.array([0.6])) == pytest.approx([0.1])


def test_widths_are_compared_without_what_the_turning_of_the_head_does_to_them():
    rounding = np.where(np.arange(90) % 2, 0.03, -0.03)
    found = widths_as_seen_ahead(0.5 + 0.3 * TURNS**2 + rounding, TURNS)
    assert found - found.mean() == pytest.approx(rounding, abs=0.003)


def test_the_first_pass_gives_every_frame_its_view_also_after_reading_it_again(tmp_path):
    swing = [face(yaw=float(yaw)) for yaw in np.linspace(-35, 35, 40)]
    found = analysed([*swing[:20], None, *swing[20:]], store=ImageStore(tmp_path / "mouths"))
    [own] = found.tracklets
    assert own.turned_references
    views = [own.view(k) for k in range(own.start, own.stop)]
    assert set(views) == set(range(1 + len(own.turned_references)))
    assert sum(a != b for a, b in pairwise(views)) == len(own.turned_references)
    save_analysis(tmp_path / "analysis.npz", found)
    [back] = load_analysis(tmp_path / "analysis.npz", ImageStore(tmp_path / "mouths", existing=True)).tracklets
    assert [back.view(k) for k in range(own.start, own.stop)] == views
    for one, other in zip(own.turned_references, back.turned_references, strict=True):
        assert one.images == other.images
        for name in ("openings", "widths", "narrow", "wide"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_another_pose_brings_its_own_pictures_and_another_donor():
    bank, head = ReferenceBank(), tracklet(kept([0, 0.1, 0.2]))
    head.turned_references = (kept([0, 0.3]),)
    assert find(bank, head, 0.2) == 2
    aside = bank.frame_reference(head, LipTarget(0.14, 0.5), view=1)
    assert any(aside.donor.picture is own.picture for own in bank.of(head, 1).pictures)
    assert bank.of(head, 1).picture_openings.tolist() == pytest.approx([0, 0.3])
    assert find(bank, head, 0.14) == 1, "the last donor was one of the other pose"


def test_each_frame_of_a_batch_is_conditioned_on_its_own_pose():
    mouths = speaker(opening=0.035, opening_unit=0.05)
    head, crops, times = footage(6)
    head.references, head.opening_spread = kept_crops(crops[:3], [0.0, 0.1, 0.2], 0.1), 0.05
    head.turned_references = (kept_crops(crops[3:], [0.0, 0.1, 0.2], 0.1),)
    head.views = np.uint8([0, 1, 1, 0, 0, 1])
    seen = []
    mouths.talker.generate = lambda c, noise, **more: (
        seen.append((c.reference, c.reference_latent)) or (c.masked, torch.zeros(len(c.masked), 8, 4, 4))
    )
    mouths.draw(head, crops, times, list(range(6)))
    (references, latents), wanted = seen[0], mouths.speech.targets(head, times)
    for k, view in enumerate(head.views.tolist()):
        of_pose = mouths.bank.of(head, view)
        parts = [to_tensor(of_pose.crops[[n]])[0] * share for n, share in of_pose.around(wanted[k]).items()]
        assert torch.equal(references[k], sum(parts[1:], parts[0]))
    assert latents.shape == (6, 8, 4, 4)
    of_bank = [r.donor.picture for r in mouths.frame_references(head, times, list(range(6)))]
    aside = [any(p is o.picture for o in mouths.bank.of(head, 1).pictures) for p in of_bank]
    assert aside == [bool(v) for v in head.views]
