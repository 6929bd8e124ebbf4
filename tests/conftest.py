"""What all tests share: a random model, and folders of their own, so that no test touches the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dithead.provenance.settings import FOLDER_VARIABLE

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test signs with the user's key, or reads or changes how quick this machine was for its user."""
    environment = pytest.MonkeyPatch()
    environment.setenv("DITHEAD_CACHE", str(tmp_path_factory.mktemp("cache")))
    environment.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("configuration")))


@pytest.fixture(scope="session")
def talker() -> TalkingHead:
    """A tiny model, random everywhere: a fresh one begins with zeros, and would ignore its noise and its reference."""
    import torch

    from dithead.checkpoint import build_model
    from dithead.config import get_preset

    torch.manual_seed(0)
    model = build_model(get_preset("tiny").model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model
