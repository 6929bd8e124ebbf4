"""Model references resolve to folders, and every error says what to do."""

from pathlib import Path

import huggingface_hub
import pytest

from dithead import hub
from dithead.errors import ModelError


def test_an_existing_folder_is_itself(tmp_path: Path) -> None:
    assert hub.resolve_model(tmp_path) == tmp_path
    assert hub.resolve_model(str(tmp_path)) == tmp_path


def test_a_shipped_name_is_the_packaged_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "small"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(hub, "files", lambda package: tmp_path)
    assert hub.resolve_model("small") == folder


def test_a_shipped_name_without_its_weights_says_reinstall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match="'small' is missing.*reinstall"):
        hub.resolve_model("small")


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(ModelError, match=r"model\.safetensors is a file"):
        hub.resolve_model(file)


@pytest.mark.parametrize("ref", ["nosuch", "./nosuch/model", "~/nosuch/model", "/no/such", "a/b/c", "a/b@", "a b/c"])
def test_an_impossible_hub_id_is_not_sent_to_the_hub(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    with pytest.raises(ModelError, match="no model folder at .*small"):
        hub.resolve_model(ref)


@pytest.mark.parametrize(("ref", "revision"), [("org/name", None), ("org/name@v1.0", "v1.0")])
def test_a_hub_id_is_fetched(ref: str, revision: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fake(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    assert hub.resolve_model(ref) == tmp_path
    assert asked == [("org/name", revision, list(hub.MODEL_FILES))]


def test_offline_names_the_command_that_would_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="hf download no-such-org/no-such-model --revision v2") as caught:
        hub.resolve_model("no-such-org/no-such-model@v2")
    assert "\n" not in str(caught.value)
