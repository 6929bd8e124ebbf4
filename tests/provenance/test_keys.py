"""A key is made once, is its owner's alone, can be renewed, and gives way to an organisation's certificate."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from dithead.cli import app
from dithead.errors import ConfigError
from dithead.provenance import keys
from dithead.provenance.certificates import new_chain
from dithead.provenance.keys import rotate, signing_key, trusted_certificates


def test_a_key_is_made_on_first_use_and_is_its_owners_alone(configuration):
    key = signing_key()
    assert key.self_made
    assert key.algorithm == "es256"
    assert signing_key() == key
    assert key.folder is not None
    assert stat.S_IMODE((key.folder / "private.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(key.folder.stat().st_mode) == 0o700
    assert [path.name for path in (configuration / "keys").iterdir() if path.name.startswith(".")] == []


def test_processes_that_start_at_once_agree_on_one_key(configuration):
    code = "from dithead.provenance.keys import signing_key; print(signing_key().fingerprint)"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate()[0] for process in started}) == 1
    assert len(list((configuration / "keys").glob("*/private.pem"))) == 1


@pytest.mark.parametrize("left", ["nothing", "the name of a key that is gone"])
def test_threads_that_start_at_once_agree_on_one_key(configuration, left):
    for _ in range(10):
        shutil.rmtree(configuration / "keys", ignore_errors=True)
        if left != "nothing":
            shutil.rmtree(signing_key().folder)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: signing_key().fingerprint, range(8)))
        assert len({*found, signing_key().fingerprint}) == 1
        assert len(list((configuration / "keys").glob("*/private.pem"))) == 1


def test_a_rotated_key_is_gone_and_its_certificate_is_still_trusted(configuration):
    old = signing_key()
    new = rotate("A studio")
    assert new.name == "A studio"
    assert new.fingerprint != old.fingerprint
    assert signing_key() == new
    assert len(list(configuration.rglob("private.pem"))) == 1
    assert trusted_certificates().count(b"BEGIN CERTIFICATE") == 2


def test_a_certificate_about_to_expire_is_replaced(configuration, monkeypatch):
    old = rotate("A studio")
    monkeypatch.setattr(keys, "_RENEW", timedelta(days=11 * 365))
    new = signing_key()
    assert new.fingerprint != old.fingerprint
    assert new.name == "A studio"
    assert len(list(configuration.rglob("private.pem"))) == 1


def test_two_installations_have_nothing_in_common_and_name_no_person(configuration):
    first, second = (x509.load_pem_x509_certificates(new_chain("x")[1]) for _ in range(2))
    assert first[0].public_key() != second[0].public_key()
    assert first[1].public_key() != second[1].public_key()
    assert first[0].subject.rfc4514_string() == "CN=x,O=dithead\\, self-made certificate"


def write_settings(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "trust.toml").write_text(text)


def test_an_organisations_certificate_signs_instead(configuration):
    private, chain, _ = new_chain("Example Studios")
    write_settings(configuration, 'certificate = "chain.pem"\nkey = "key.pem"\n')
    (configuration / "chain.pem").write_bytes(chain)
    (configuration / "key.pem").write_bytes(private)
    key = signing_key()
    assert (key.name, key.self_made, key.folder) == ("Example Studios", False, None)
    assert not (configuration / "keys").exists()
    with pytest.raises(ConfigError, match="renew it where it was issued"):
        rotate()


def test_a_key_of_another_certificate_is_refused_in_one_line(configuration):
    write_settings(configuration, 'certificate = "chain.pem"\nkey = "key.pem"\n')
    (configuration / "chain.pem").write_bytes(new_chain("a")[1])
    (configuration / "key.pem").write_bytes(new_chain("b")[0])
    with pytest.raises(ConfigError, match="the key belongs to another certificate"):
        signing_key()
    (configuration / "key.pem").write_text("no key")
    with pytest.raises(ConfigError, match="not a certificate chain with its key"):
        signing_key()
    (configuration / "key.pem").unlink()
    with pytest.raises(ConfigError, match=r"key\.pem: cannot be read"):
        signing_key()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('certificat = "a.pem"', "certificat: is no setting"),
        ('certificate = "a.pem"', "give certificate and key together"),
        ("require_consent = 3", "require_consent: Input should be a valid boolean"),
        ("not toml", "cannot be read"),
        ('trust = ["nowhere.pem"]', r"nowhere\.pem: cannot be read"),
    ],
)
def test_a_wrong_setting_is_named(configuration, text, message):
    write_settings(configuration, text)
    with pytest.raises(ConfigError, match=message):
        trusted_certificates()


def test_the_command_shows_rotates_and_exports_no_secret(configuration, tmp_path):
    run = CliRunner().invoke
    shown = run(app, ["keys", "show", "--json"])
    assert shown.exit_code == 0, shown.output
    assert '"self_made": true' in shown.output
    assert run(app, ["keys", "rotate", "--name", "A studio"]).output.startswith("name                 A studio")
    exported = tmp_path / "anchor.pem"
    assert run(app, ["keys", "export", "-o", str(exported)]).exit_code == 0
    assert exported.read_bytes() == signing_key().anchor
    assert b"PRIVATE" not in exported.read_bytes()
    secret = next(configuration.rglob("private.pem"))
    refused = run(app, ["keys", "export", "-o", str(secret)])
    assert refused.exit_code == 2
    assert b"PRIVATE" in secret.read_bytes()


def test_a_name_that_no_certificate_holds_and_a_folder_to_export_to_are_one_line_each(configuration, tmp_path):
    run = CliRunner().invoke
    long = run(app, ["keys", "rotate", "--name", "A" * 65])
    assert (long.exit_code, long.exception.__class__) == (2, SystemExit)
    assert "64 characters at most, not 65" in long.output
    assert run(app, ["keys", "rotate", "--name", "A" * 64]).exit_code == 0
    folder = run(app, ["keys", "export", "-o", str(tmp_path)])
    assert (folder.exit_code, folder.exception.__class__) == (2, SystemExit)
    assert "is a folder" in folder.output
