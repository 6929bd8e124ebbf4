"""Which frames a conversation draws where the machine is too slow, and how large they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dithead.inference.live_conversation import Conversation, PreparedHead
from dithead.inference.streaming import LiveHead


@pytest.mark.parametrize(
    ("takes", "since", "late", "is_drawn"),
    [
        (0.05, 0.04, -0.10, True),  # in time
        (0.05, 0.04, -0.01, False),  # it would come 0.04 s too late
        (9.0, 0.04, 0.0, False),
        (9.0, 0.6, 0.1, True),  # nothing was drawn for long
        (9.0, 0.6, 0.7, False),  # but this one is too old: a newer one follows
    ],
)
def test_frames_that_would_come_too_late_are_left_out_but_the_picture_never_stands_still(takes, since, late, is_drawn):
    talk = Conversation.__new__(Conversation)
    talk.speech, talk.prepared = SimpleNamespace(late=lambda _: late), SimpleNamespace(slack=0.12)
    talk._takes, talk._begun = takes, 10.0
    assert talk._worth_drawing(10.0 + since) is is_drawn


@pytest.mark.parametrize("turn", [90, 270])
def test_the_size_that_is_announced_is_that_of_the_frames_of_a_turned_video(turn, pictures, turned_footage, talker):
    head = LiveHead(turned_footage([p[:, 16:240] for p in pictures[:4]], turn), model=talker, device="cpu")
    first = next(head.frames([np.zeros(16000, np.float32)]))
    height, width = first.pixels.shape[:2]
    assert PreparedHead(head).shown_size == (width, height) == (224, 256)
