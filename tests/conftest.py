"""What all tests share: a configuration folder of their own, so that no test signs with the user's key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dithead.provenance.settings import FOLDER_VARIABLE


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep keys and settings in a temporary folder."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(tmp_path_factory.mktemp("configuration"))
    yield
    if before is None:
        del os.environ[FOLDER_VARIABLE]
    else:
        os.environ[FOLDER_VARIABLE] = before
