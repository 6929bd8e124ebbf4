"""Fixtures of the whole suite."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or changes how quick this machine was for its user."""
    pytest.MonkeyPatch().setenv("DITHEAD_CACHE", str(tmp_path_factory.mktemp("cache")))
