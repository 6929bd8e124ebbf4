"""What all tests share: a configuration and a cache of their own, so that no test touches the user's."""

from __future__ import annotations

import pytest

from dithead.provenance.settings import FOLDER_VARIABLE


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test signs with the user's key, or reads or changes how quick this machine was for its user."""
    environment = pytest.MonkeyPatch()
    environment.setenv("DITHEAD_CACHE", str(tmp_path_factory.mktemp("cache")))
    environment.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("configuration")))
