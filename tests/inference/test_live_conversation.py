"""Which frames a conversation draws: those that come in time, and a few others where the machine is far too slow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dithead.inference.live_conversation import Conversation


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
