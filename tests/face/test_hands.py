"""Hands are found where they are, followed, and forgotten when they leave."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.face.hands import HandFinder, hand_mask

KNUCKLES = [5, 9, 13, 17]


def test_a_drawn_hand_is_found_and_followed(waving):
    frames, knuckles = waving
    with HandFinder() as finder:
        for frame, truth in zip(frames, knuckles, strict=True):
            (hand,) = finder.find(frame)
            assert hand.shape == (21, 2)
            assert np.linalg.norm(hand[KNUCKLES] - truth, axis=1).max() < 15


def test_two_hands_are_two(waving):
    frame = waving[0][0]
    both = np.concatenate([frame, frame[:, ::-1]], axis=1)
    with HandFinder() as finder:
        for _ in range(2):
            hands = finder.find(both)
            assert sorted(hand[0, 0] > frame.shape[1] for hand in hands) == [False, True]


def test_a_hand_that_leaves_is_gone_at_once(waving):
    frames = waving[0]
    with HandFinder() as finder:
        assert len(finder.find(frames[0])) == 1
        assert finder.find(np.full_like(frames[0], 110)) == []
        assert len(finder.find(frames[0])) == 1


def test_no_hand_is_found_in_a_face(presenter):
    with HandFinder() as finder:
        assert finder.find(presenter[0]) == []


def test_the_mask_covers_the_hand(waving):
    frame = np.ascontiguousarray(waving[0][0][:, :400])
    with HandFinder() as finder:
        mask = hand_mask(finder.find(frame), 400)
    skin = (cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 0] < 20).astype(np.float32)
    covered = (mask * skin)[:300].sum() / skin[:300].sum()
    assert covered > 0.8
    assert mask.mean() < 2 * skin.mean()


def test_nothing_is_printed_on_stderr(capfd, waving):
    with HandFinder() as finder:
        assert finder.find(waving[0][0])
    assert capfd.readouterr().err == ""
