"""The watermark's secret signs, its error-correcting code and the bound on its false positives."""

from math import comb

import numpy as np

from dithead.provenance.watermark_code import code_word, code_words, shares, signs
from dithead.provenance.watermark_statistic import tail


def test_code_words_differ_in_at_least_24_bits() -> None:
    words = code_words()
    weights = (words < 0).sum(axis=1)  # the code is linear, so weights are distances
    assert words.shape == (65536, 64)
    assert np.array_equal(words[0b101], words[0b100] * words[0b001])
    assert weights[0] == 0
    assert weights[1:].min() == 24


def test_signs_depend_on_key_and_label_and_never_change() -> None:
    drawn = signs(b"key", "set 0", 4096)
    assert set(drawn) == {-1.0, 1.0}
    assert abs(drawn @ signs(b"other", "set 0", 4096)) < 4 * 64
    assert abs(drawn @ signs(b"key", "set 1", 4096)) < 4 * 64
    assert (
        "".join("+" if s > 0 else "-" for s in drawn[:16]) == "+-+-+--++--+---+"
    )  # marks of the past must stay readable


def test_every_code_bit_gets_equally_many_coefficients() -> None:
    counts = np.bincount(shares(b"key", 1500))
    assert len(counts) == 64
    assert np.ptp(counts) == 1


def test_the_bound_holds_for_coin_tosses() -> None:
    tosses = 400
    for heads in range(tosses // 2, tosses):
        exact = sum(comb(tosses, k) for k in range(heads, tosses + 1)) / 2**tosses
        assert exact <= tail((2 * heads - tosses) / np.sqrt(tosses))


def test_one_code_word_is_that_of_all() -> None:
    for message in (0, 1, 4711, 65535):
        assert np.array_equal(code_word(message), code_words()[message])
