"""Mouths from closed to open, narrow and wide: which are kept, what lies between, and which one each frame gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dithead.face.alignment import EYE_DISTANCE, warp_crop
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import (
    KEPT,
    StoredReferences,
    choose_references,
    enlarged,
    source_picture,
)
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.reference_bank import ReferenceBank
from dithead.inference.synthesise.reference_set import LipTarget, ReferenceSet

SIZE = 48


def mouth(opening: float, side: int = SIZE, width: float = 0.5) -> np.ndarray:
    """A dark gap (side, side, 3) in a face with some grain, as high as ``opening`` and as wide as ``width``."""
    picture = np.full((side, side, 3), 170, np.uint8)
    picture[::5, ::3] -= 20
    half = round(side * (0.04 + opening))
    margin = round(side * (1 - width) / 2)
    picture[side // 2 - half : side // 2 + half, margin : side - margin] = 40
    return picture


def gap(picture: np.ndarray) -> int:
    return int((picture[:, picture.shape[1] // 2, 0] < 100).sum())


def breadth(picture: np.ndarray) -> int:
    return int((picture[picture.shape[0] // 2, :, 0] < 100).sum())


def kept(
    openings: list[float],
    widths: list[float] | None = None,
    narrow: list[int] | None = None,
    wide: list[int] | None = None,
) -> StoredReferences:
    """Mouths of one width, or narrow and wide ones."""
    store, count = ImageStore(), len(openings)
    widths = widths or [0.5] * count
    pairs = list(zip(openings, widths, strict=True))
    images = store.put([mouth(o, width=w) for o, w in pairs] + [mouth(o, 2 * SIZE, w) for o, w in pairs])
    moves = np.stack([enlarged(np.eye(2, 3), 0.5)] * count)
    chains = (np.array(range(count) if chain is None else chain) for chain in (narrow, wide))
    means = float(np.mean(openings)), float(np.mean(widths))
    return StoredReferences(store, images, np.float32(openings), np.float32(widths), *means, *chains, moves)


def tracklet(references: StoredReferences | None, face: int = 0) -> Tracklet:
    moves, nothing = np.zeros((1, 2, 3)), np.zeros((4, 2), np.float32)
    return Tracklet(0, 1, moves, nothing, nothing, mouth(0), False, False, face, references=references)


def test_those_kept_go_from_closed_to_open_and_are_seen_from_the_front():
    rng = np.random.default_rng(0)
    openings, turns = rng.uniform(0, 0.3, 60), rng.normal(0, 0.01, 60)
    turns[:20] = 0.5  # heads turned away
    for chosen in choose_references(openings, np.full(60, 0.5), turns, np.ones(60)):
        found = openings[chosen]
        assert 4 <= len(chosen) <= KEPT
        assert (np.diff(found) > 0).all()
        assert found[0] < 0.04
        assert found[-1] > 0.26
        assert all(k >= 20 for k in chosen)


def test_of_every_opening_a_narrow_and_a_wide_mouth_is_kept_and_the_closed_ones_are_closed() -> None:
    rng = np.random.default_rng(1)
    openings, spread = rng.uniform(0, 0.3, 400), rng.normal(0, 0.03, 400)
    widths = 0.5 + 0.2 * openings + spread  # open mouths are wider as a rule
    narrow, wide = choose_references(openings, widths, np.zeros(400), np.ones(400))
    assert len(narrow) == len(wide) == KEPT
    assert openings[narrow] == pytest.approx(openings[wide], abs=0.03)
    assert openings[[narrow[0], wide[0]]].max() < 0.03
    assert (spread[narrow] < -0.015).all()
    assert (spread[wide] > 0.015).all()


def test_a_mouth_of_one_width_is_kept_as_one_chain() -> None:
    narrow, wide = choose_references(np.linspace(0, 0.3, 31), np.full(31, 0.5), np.zeros(31), np.ones(31))
    assert narrow == wide


def test_blurred_ones_are_not_kept_and_the_sharpest_are_not_preferred():
    openings, blur, teeth = np.repeat(np.linspace(0, 0.3, 31), 3), np.ones(93), np.ones(93)
    seen = openings, np.full(93, 0.5), np.zeros(93)
    blur[::3], teeth[::3] = 0.2, 9
    assert all(k % 3 for chain in choose_references(*seen, blur) for k in chain)
    assert choose_references(*seen, teeth) == choose_references(*seen, np.ones(93))


def test_a_mouth_that_never_moves_is_kept_once():
    still = choose_references(np.full(10, 0.02), np.full(10, 0.5), np.zeros(10), np.ones(10))
    assert [len(chain) for chain in still] == [1, 1]
    assert ReferenceSet.interpolated(kept([0.02])).crops.shape == (1, SIZE, SIZE, 3)


def test_between_the_pictures_lie_others_that_open_step_by_step():
    reference_set = ReferenceSet.interpolated(kept([0.0, 0.1, 0.3]))
    gaps = [gap(p) for p in reference_set.crops]
    assert len(gaps) == len(reference_set.openings) > 12
    assert gaps[0] == gap(mouth(0))
    assert gaps[-1] == gap(mouth(0.3))
    assert (np.diff(gaps) >= -1).all()
    assert len(set(gaps)) > 6, "not only the three that were kept"


def test_narrow_and_wide_mouths_span_a_grid_of_which_each_place_shows_what_it_says() -> None:
    openings, widths = [0.0, 0.01, 0.1, 0.11, 0.2, 0.21], [0.4, 0.54, 0.4, 0.54, 0.4, 0.54]
    grid = ReferenceSet.interpolated(kept(openings, widths, [0, 2, 4], [1, 3, 5]))
    assert len(grid.crops) == len(grid.openings) == len(grid.widths) == 4 * 24
    gaps, breadths = np.array([gap(p) for p in grid.crops]), np.array([breadth(p) for p in grid.crops])
    assert np.corrcoef(gaps, grid.openings)[0, 1] > 0.97
    assert np.corrcoef(breadths, grid.widths)[0, 1] > 0.9
    for target in (LipTarget(0.1, 0.4), LipTarget(0.1, 0.47), LipTarget(0.1, 0.54)):
        found = grid.nearest_crop(target)
        assert gap(found) == pytest.approx(gap(mouth(0.1)), abs=2)
        assert breadth(found) == pytest.approx(target.width * SIZE, abs=3)


def test_the_nearest_is_chosen_and_nothing_beyond_the_ends():
    openings, widths = np.float32([0, 0.1, 0.2, 0.1]), np.float32([0.5, 0.5, 0.5, 0.7])
    reference_set = ReferenceSet(np.zeros((4, 4, 4, 3), np.uint8), openings, widths, (), openings, widths)
    assert [reference_set.nearest(LipTarget(o, 0.5)) for o in (-1, 0.04, 0.06, 0.16, 9)] == [0, 0, 1, 2, 2]
    found = [reference_set.nearest(LipTarget(*lips)) for lips in ((0.1, 0.59), (0.1, 0.61), (0.0, 0.6))]
    assert found == [1, 3, 0]


def spread(picture: np.ndarray) -> float:
    """Standard deviation of the dark pixels' places from left to right."""
    dark = (120 - picture.mean(axis=2)).clip(0)
    x = np.arange(SIZE) - (dark * np.arange(SIZE)).sum() / dark.sum()
    return float(np.sqrt((dark * x**2).sum() / dark.sum()))


def grid_of_two_columns(openings: list[float], narrow_ends: float = 0.2) -> ReferenceSet:
    """Mouths of widths 0.5 and 0.6; the narrow ones open up to ``narrow_ends``."""
    columns = np.stack([np.minimum(np.float32(openings), narrow_ends), np.float32(openings)])
    widths = np.repeat(np.float32([0.5, 0.6]), len(openings))
    count = len(widths)
    return ReferenceSet(
        np.zeros((count, 4, 4, 3), np.uint8), columns.ravel(), widths, (), columns.ravel(), widths, columns=2
    )


def mixed(grid: ReferenceSet, lips: LipTarget) -> np.ndarray:
    """Opening and width of what is mixed for ``lips``."""
    shares = grid.around(lips)
    assert sum(shares.values()) == pytest.approx(1)
    return sum(share * np.array([grid.openings[k], grid.widths[k]]) for k, share in shares.items())


def test_between_four_pictures_of_the_grid_all_count() -> None:
    grid = grid_of_two_columns([0, 0.1, 0.2])
    assert grid.around(LipTarget(0.1, 0.5)) == {1: 1.0}
    assert grid.around(LipTarget(0.13, 0.5)) == pytest.approx({1: 0.7, 2: 0.3}, abs=1e-5)
    assert grid.around(LipTarget(0.1, 0.57)) == pytest.approx({4: 0.7, 1: 0.3}, abs=1e-5)
    assert grid.around(LipTarget(0.15, 0.55)) == pytest.approx({1: 0.25, 2: 0.25, 4: 0.25, 5: 0.25}, abs=1e-5)
    assert grid.around(LipTarget(0.9, 0.9)) == {5: 1.0}, "beyond the ends it is the last one"


def test_what_is_mixed_is_what_was_wanted_and_nothing_jumps() -> None:
    grid = grid_of_two_columns([0, 0.1, 0.2])
    path = [LipTarget(0.2 * t, 0.5 + 0.1 * t) for t in np.linspace(0, 1, 400)]
    found = np.array([mixed(grid, lips) for lips in path])
    assert np.abs(np.diff(found, axis=0)).max() < 0.005, "a twentieth of a step of the grid"
    assert np.abs(found - [lips[:2] for lips in path]).max() < 0.004


def test_where_narrow_mouths_open_less_the_opening_counts_more_than_the_width() -> None:
    opening, width = mixed(grid_of_two_columns([0, 0.1, 0.2], narrow_ends=0.1), LipTarget(0.2, 0.5))
    assert opening > 0.16
    assert width > 0.56


def test_shut_lips_have_the_wanted_width_whatever_their_pictures_measure() -> None:
    grid = ReferenceSet(
        np.zeros((4, 4, 4, 3), np.uint8),
        *(
            openings := np.float32([0.004, 0.1, 0, 0.1]),
            widths := np.float32([0.5, 0.5, 0.6, 0.6]),
            (),
            openings,
            widths,
        ),
        columns=2,
    )
    for width in (0.5, 0.53, 0.6):
        assert mixed(grid, LipTarget(0.0, width)) == pytest.approx([0.002, width], abs=0.0025)


def test_pictures_of_shut_lips_lend_no_detail_to_parted_ones() -> None:
    openings, widths = np.float32([0.0, 0.09]), np.float32([0.5, 0.5])
    pictures = ReferenceSet(np.zeros((2, 4, 4, 3), np.uint8), openings, widths, (), openings, widths)
    assert pictures.donor(LipTarget(0.01, 0.5), 0) == 0
    assert pictures.donor(LipTarget(0.023, 0.5), 0) == 1, "though the shut ones are nearer, and lent the last detail"
    shut = ReferenceSet(np.zeros((1, 4, 4, 3), np.uint8), openings[:1], widths[:1], (), openings[:1], widths[:1])
    assert shut.donor(LipTarget(0.1, 0.5), None) == 0, "there is no other"


def test_beyond_the_narrow_and_the_wide_mouths_lie_squeezed_and_stretched_ones() -> None:
    openings, widths = [0.02, 0.021, 0.2, 0.21], [0.4, 0.5, 0.4, 0.5]
    seen = kept(openings, widths, [0, 2], [1, 3])
    seen = seen._replace(widths=seen.widths / EYE_DISTANCE)
    grid = ReferenceSet.interpolated(seen._replace(centre=np.full(2, SIZE / 2, np.float32)))
    assert grid.columns == 6
    of_rows = grid.widths.reshape(6, -1)[:, 0]
    assert of_rows == pytest.approx(
        np.array([0.4, 0.4, 0.433, 0.467, 0.5, 0.5]) / EYE_DISTANCE + [-0.035, 0, 0, 0, 0, 0.035], abs=0.002
    )
    assert np.array_equal(grid.crops[24:-24], ReferenceSet.interpolated(seen).crops), "those between are as before"
    spreads = [spread(grid.crops[23]), spread(grid.crops[47]), spread(grid.crops[-25]), spread(grid.crops[-1])]
    assert spreads[0] < 0.98 * spreads[1], "narrower than the narrow one"
    assert spreads[3] > 1.01 * spreads[2], "wider than the wide one"
    stretched = grid.crops[-1].astype(int) - grid.crops[-25]
    assert not stretched[:, :2].any(), "nothing moves far from the mouth"


def test_lips_that_close_because_they_were_nearly_closed_keep_their_width():
    openings, widths = np.float32([0, 0.01]), np.float32([0.5, 0.7])
    pictures = ReferenceSet(np.zeros((2, 4, 4, 3), np.uint8), openings, widths, (), openings, widths)
    assert pictures.nearest(LipTarget(0.0, 0.7)) == 0
    assert pictures.nearest(LipTarget(0.0, 0.7, parted=0.014)) == 1


def test_the_persons_own_pictures_are_kept_as_the_source_shows_them():
    reference_set = ReferenceSet.interpolated(kept([0.0, 0.2]))
    assert reference_set.picture_openings.tolist() == pytest.approx([0.0, 0.2])
    assert np.array_equal(reference_set.pictures[1].picture, mouth(0.2, 2 * SIZE))
    assert np.array_equal(reference_set.pictures[1].crop, mouth(0.2))
    assert np.array_equal(reference_set.crops[-1], mouth(0.2))


@pytest.mark.parametrize("scale", [0.4, 0.1, 1.3])
def test_an_own_picture_covers_what_the_crop_covers_from_the_eyes_down(scale: float) -> None:
    move = np.array([[scale, 0, -20], [0, scale, -10]])
    frame = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    picture, local = source_picture(frame, move, 160)
    assert max(picture.shape[:2]) <= 5 * 160 + 3, "of a very large face, a smaller picture"
    again, crop = warp_crop(picture, local, 160).astype(int), warp_crop(frame, move, 160)
    assert np.abs(again - crop)[42:].mean() < (3 if scale > 0.2 else 8), "reduced twice, the edges are softer"
    top, left = np.rint(-local[:, 2] / scale).astype(int)[::-1] - np.rint(-move[:, 2] / scale).astype(int)[::-1]
    if scale > 0.2:
        height, width = picture.shape[:2]
        assert np.array_equal(picture, frame[-top:, -left:][:height, :width]), "pixel for pixel"


def test_the_last_donor_stays_while_it_is_about_as_near():
    reference_bank, first, again = (
        ReferenceBank(),
        tracklet(kept([0.01, 0.1, 0.2])),
        tracklet(kept([0.01, 0.1, 0.2]), face=1),
    )
    openings = [0.02, 0.06, 0.09, 0.05, 0.01, 0.2, 0.14]
    assert [find(reference_bank, first, o) for o in openings] == [0, 0, 1, 1, 0, 2, 2], (
        "near the middle nothing changes"
    )
    assert find(reference_bank, again, 0.14) == 1, "faces do not share"
    assert find(reference_bank, first, 0.14) == 2
    later = tracklet(kept([0, 0.1, 0.2]))
    later.start = 9
    assert find(reference_bank, later, 0.14) == 1, "a new shot begins anew"


def test_a_rounded_and_a_spread_mouth_of_one_opening_get_detail_from_different_pictures() -> None:
    bank, of = ReferenceBank(), tracklet(kept([0.0, 0.1, 0.11, 0.2], [0.5, 0.4, 0.6, 0.5], [0, 1, 3], [0, 2, 3]))
    assert [bank.of(of).donor(LipTarget(0.105, width), None) for width in (0.4, 0.6)] == [1, 2]


def test_pictures_made_of_one_have_one_grain_so_the_nearest_gives_the_detail() -> None:
    made = tracklet(kept([0.01, 0.1, 0.2]))
    made.references = made.references._replace(opened=True)
    bank = ReferenceBank()
    assert [find(bank, made, o) for o in (0.02, 0.06, 0.09, 0.04, 0.14)] == [0, 1, 1, 0, 1], "none is kept for longer"


def find(reference_bank: ReferenceBank, of: Tracklet, opening: float) -> int:
    found = reference_bank.frame_reference(of, LipTarget(opening, 0.5)).donor
    reference_set = reference_bank.of(of)
    return [own.picture is found.picture for own in reference_set.pictures].index(True)


def test_a_bank_holds_the_present_tracklet_of_each_face():
    reference_bank, first, second, other = (
        ReferenceBank(),
        tracklet(kept([0, 0.1])),
        tracklet(kept([0, 0.2])),
        tracklet(kept([0, 0.3]), face=1),
    )
    references = reference_bank.of(first)
    assert reference_bank.of(first) is references
    assert reference_bank.of(other) is not None
    assert reference_bank.of(first) is references
    assert reference_bank.of(second) is not references
    assert reference_bank.of(first) is not references, "forgotten when another tracklet of that face began"
    assert reference_bank.of(tracklet(None)) is None


def test_a_store_gives_back_every_bit_also_to_a_later_process(tmp_path: Path):
    rng = np.random.default_rng(0)
    one, two = ([rng.integers(0, 255, (20 + k, 20, 3), np.uint8) for k in range(count)] for count in (3, 2))
    store = ImageStore(tmp_path / "mouths")
    slots = [store.put(one), store.put(two)]
    assert same(store.get(slots[1]), two)
    again = ImageStore(tmp_path / "mouths", existing=True)
    assert same(again.get(slots[0]), one)
    assert same(again.get(again.put(two)), two)
    assert same(again.get(slots[1]), two)


def same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(some) == len(others) and all(map(np.array_equal, some, others))
