"""The Compose file fits the command line, the settings and the Dockerfile; no container is started."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from dithead.cli import app
from dithead.option_fields import option_fields
from dithead.provenance.settings import FOLDER_VARIABLE
from dithead.serve.options import ServeOptions

ROOT = Path(__file__).parents[1]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
OURS = {name: service for name, service in SERVICES.items() if name != "database"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_service_runs_a_command_that_there_is(name):
    """Parsing refuses an unknown option; it starts nothing."""
    command, *arguments = OURS[name]["command"]
    get_command(app).commands[command].make_context(command, arguments)


def test_two_workers_with_names_of_their_own_share_database_folder_and_key():
    workers = [service for service in OURS.values() if service["command"][0] == "worker"]
    names = [service["command"][service["command"].index("--name") + 1] for service in workers]
    assert len(set(names)) == len(workers) == 2
    for service in OURS.values():
        assert service["environment"] == OURS["server"]["environment"]
        assert service["volumes"] == ["data:/data"]
        assert service["depends_on"]["database"]["condition"] == "service_healthy"
    variables = {each.metadata.get("envvar") for each in option_fields(ServeOptions)} | {FOLDER_VARIABLE}
    assert set(OURS["server"]["environment"]) <= variables


def test_only_this_machine_reaches_the_server_and_no_password_is_written():
    assert all(port.startswith("127.0.0.1:") for port in OURS["server"]["ports"])
    assert "ports" not in SERVICES["database"]
    assert SERVICES["database"]["environment"]["POSTGRES_PASSWORD"].startswith("${DITHEAD_PASSWORD:?")


def test_the_image_has_the_extra_of_the_server():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert OURS["server"]["build"]["args"] == {"EXTRAS": "[serve]"}
    assert text.count('ARG EXTRAS=""') == text.count(".whl)${EXTRAS}") == 2
