"""Pictures of a store come back as they were, compressed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dithead.inference.analyse import image_store
from dithead.inference.analyse.image_store import ImageStore


def test_the_first_pictures_are_not_compressed_and_all_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "_PLAIN", 1000)
    path, random = tmp_path / "images", np.random.default_rng(0)
    pictures = [random.integers(0, 255, (31, 17, 3), np.uint8), np.full((40, 50, 3), 90, np.uint8)]
    store = ImageStore(path)
    slots = [store.put([picture]) for picture in pictures]
    assert path.read_bytes()[:2] == b"BM"
    assert path.read_bytes()[slots[1].offset :][1:4] == b"PNG"
    for again in (store, ImageStore(path, existing=True)):
        assert all(np.array_equal(again.get(slot)[0], picture) for slot, picture in zip(slots, pictures, strict=True))
