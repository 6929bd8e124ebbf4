"""The model card names the footage that a model was trained on, and no other."""

from pathlib import Path

from dithead.train.data.clips import DataSource
from dithead.train.report.data_provenance import describe_training_data


def test_people_minutes_and_licences_are_described_without_the_held_out(dataset: Path) -> None:
    described = describe_training_data([DataSource(dataset)], 20, 4)
    assert described == "20 steps of 4 on made by the test (CC0-1.0): 3 people, 0.0 min"
    twice = describe_training_data([DataSource(dataset), DataSource(dataset)], 20, 4)
    assert "3 people" in twice, "the same people in two datasets are the same people"


def test_what_is_not_stated_is_said_to_be_so(dataset: Path, tmp_path: Path) -> None:
    for name in ("config.json", "manifest.jsonl"):
        text = (dataset / name).read_text().replace("made by the test", "").replace("CC0-1.0", "")
        (tmp_path / name).write_text(text)
    assert "source not stated (licence not stated): 3 people" in describe_training_data([DataSource(tmp_path)], 1, 1)
