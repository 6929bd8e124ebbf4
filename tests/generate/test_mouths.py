"""How widely the lips move: as widely as the person's own, where the source says something about that."""

import pytest

from dithead.generate.mouths import STILL_MOUTH, expression


def test_the_spread_of_the_source_over_that_of_the_model() -> None:
    assert expression(0.07, 0.035) == pytest.approx(2)
    assert expression(0.03, 0.035) == pytest.approx(0.857, abs=1e-3)


def test_a_still_source_and_a_model_without_a_spread_leave_it_as_learned() -> None:
    assert expression(STILL_MOUTH / 2, 0.035) == 1
    assert expression(0.07, 0.0) == 1


def test_extremes_are_bounded() -> None:
    assert expression(5.0, 0.035) == 3.5
    assert expression(0.013, 0.035) == 0.6
