"""Makes, keeps and rotates the key that signs outputs, or loads an organisation's certificate.

    CONFIGURATION/keys/current             the name of the folder in use
    CONFIGURATION/keys/after-ID            the name of the folder that came after the missing key ID, or after nothing
    CONFIGURATION/keys/ID/private.pem      readable by the owner only; removed when the key is rotated
    CONFIGURATION/keys/ID/chain.pem        the signer's certificate, then its issuer's
    CONFIGURATION/keys/ID/anchor.pem       the issuer's certificate, for those who are to trust this signer

A self-made chain follows C2PA's certificate profile: a certificate authority, whose key is forgotten as soon as it has
signed the one certificate, and an ECDSA P-256 key. It shows that two files come from the same installation and that
they were not changed; it does not prove who the signer is.
"""

from __future__ import annotations

import datetime
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from dithead.errors import ConfigError, OutputError
from dithead.provenance.certificates import algorithm_of, common_name, new_chain, public_key_bytes, split_chain
from dithead.provenance.settings import TrustSettings, config_folder, read_settings

PRIVATE, CHAIN, ANCHOR, CURRENT = "private.pem", "chain.pem", "anchor.pem", "current"
_LONGEST_NAME = 64  # characters of a common name in a certificate (RFC 5280)
_UNNAMED = "unnamed installation"  # what a self-made certificate calls its owner, who was not asked
_RENEW = datetime.timedelta(days=30)  # before its end, a self-made certificate is replaced (our choice)
_OWNER_ONLY = 0o600
_BALLOT = "after-"


@dataclass(frozen=True)
class SigningKey:
    """A private key with its certificates, as PEM, ready to sign."""

    private: bytes
    chain: bytes
    algorithm: str  # C2PA's name, such as es256
    name: str  # common name of the signer
    issuer: str
    fingerprint: str  # SHA-256 of the signer's certificate, in hexadecimal
    valid_until: datetime.datetime
    self_made: bool
    folder: Path | None = None  # where a self-made key lies
    timestamp_authority: str | None = None

    @property
    def anchor(self) -> bytes:
        """The last certificate of the chain, by which others can recognise this signer."""
        return split_chain(self.chain)[-1]


def signing_key() -> SigningKey:
    """Load the key that signs outputs; a self-made one is made when there is none.

    Raises:
        ConfigError: The configured certificate or key cannot be used.
        OutputError: A new key cannot be stored.
    """
    settings = read_settings()
    if settings.certificate is not None and settings.key is not None:
        return _configured(settings, settings.certificate, settings.key)
    folder = _current_folder()
    if folder is None or _expires_soon(folder):
        folder = _renewed(folder, _UNNAMED if folder is None else _load(folder).name)
    return _load(folder, settings.timestamp_authority)


def rotate(name: str | None = None) -> SigningKey:
    """Replace the self-made key by a new one.

    The old private key is removed; its certificate stays, so that files signed with it are still recognised.

    Args:
        name: What the new certificate calls the signer; nobody checks it.

    Raises:
        ConfigError: An organisation's certificate is configured, which only its issuer can renew; or the name is longer
            than certificates allow.
        OutputError: The new key cannot be stored.
    """
    if read_settings().certificate is not None:
        raise ConfigError("trust.toml names a certificate; renew it where it was issued")
    if name is not None and len(name) > _LONGEST_NAME:
        raise ConfigError(f"--name: certificates hold {_LONGEST_NAME} characters at most, not {len(name)}")
    return _load(_renewed(_current_folder(), name or _UNNAMED))


def trusted_certificates() -> bytes:
    """Collect, as PEM, the certificates by which signers are recognised: this machine's and the configured ones.

    Raises:
        ConfigError: A configured file cannot be read.
    """
    settings = read_settings()
    own = sorted((config_folder() / "keys").glob(f"*/{ANCHOR}"))
    configured = [*settings.trust, *([settings.certificate] if settings.certificate else [])]
    return b"\n".join(_read_certificates(path) for path in [*own, *configured])


def _current_folder() -> Path | None:
    """The folder of the self-made key in use; None when there is none."""
    keys = config_folder() / "keys"
    folder = keys / _named_in(keys / CURRENT)
    return folder if (folder / PRIVATE).is_file() else None


def _renewed(old: Path | None, name: str) -> Path:
    """Make a new key, put it into use and remove the old one; returns the folder of the key that is then in use."""
    folder = _make_current(_write_new_key(name), expected=old)
    if old is not None:
        (old / PRIVATE).unlink(missing_ok=True)
    return folder


def _load(folder: Path, timestamp_authority: str | None = None) -> SigningKey:
    private, chain = (folder / PRIVATE).read_bytes(), (folder / CHAIN).read_bytes()
    return _described(private, chain, folder, timestamp_authority)


def _configured(settings: TrustSettings, certificate: Path, key: Path) -> SigningKey:
    """An organisation's key. Raises ConfigError when the files do not fit."""
    try:
        private, chain = key.read_bytes(), certificate.read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror}); see trust.toml") from None
    try:
        return _described(private, chain, None, settings.timestamp_authority)
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{certificate}, {key}: not a certificate chain with its key ({reason})") from None


def _described(private: bytes, chain: bytes, folder: Path | None, timestamp_authority: str | None) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    leaf = x509.load_pem_x509_certificates(chain)[0]
    key = serialization.load_pem_private_key(private, None)
    if public_key_bytes(key.public_key()) != public_key_bytes(leaf.public_key()):
        raise ValueError("the key belongs to another certificate; the signer's own must come first")
    return SigningKey(
        private, chain, algorithm_of(key), common_name(leaf.subject), common_name(leaf.issuer),
        leaf.fingerprint(hashes.SHA256()).hex(), leaf.not_valid_after_utc, folder is not None, folder,
        timestamp_authority,
    )  # fmt: skip


def _expires_soon(folder: Path) -> bool:
    return _load(folder).valid_until - datetime.datetime.now(datetime.UTC) < _RENEW


def _read_certificates(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); see trust in trust.toml") from None


def _write_new_key(name: str) -> Path:
    """Make a key and its chain in a folder of its own, complete or not at all."""
    private, chain, anchor = new_chain(name)
    keys = config_folder() / "keys"
    folder, part = keys / uuid.uuid4().hex[:12], keys / f".{uuid.uuid4().hex[:12]}.part"
    try:
        part.mkdir(parents=True, mode=0o700)
        os.close(os.open(part / PRIVATE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
        (part / PRIVATE).write_bytes(private)
        (part / CHAIN).write_bytes(chain)
        (part / ANCHOR).write_bytes(anchor)
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OutputError(f"{keys}: the signing key cannot be stored ({error.strerror}); {_elsewhere()}") from None
    return folder


def _elsewhere() -> str:
    return "name another folder in DITHEAD_CONFIG_DIR, or give --no-credentials"


def _make_current(folder: Path, expected: Path | None) -> Path:
    """Put a new key into use, unless another process that started at the same time was first; returns the winner's."""
    current = folder.parent / CURRENT
    part = folder.parent / f".{folder.name}.current"
    part.write_text(folder.name + "\n", "utf-8")
    try:
        if expected is None and (first := _first_of_all(part, current)) != folder.name:
            shutil.rmtree(folder, ignore_errors=True)
            part.write_text(first + "\n", "utf-8")
            folder = folder.parent / first
        part.replace(current)
    finally:
        part.unlink(missing_ok=True)
    return folder


def _first_of_all(part: Path, current: Path) -> str:
    """The key that replaces the missing one: of processes that start at once, the first to make a file after its name.

    That file stays, because a process that began earlier may still ask for it.

    Args:
        part: A file with the name of the key that this process made.
        current: Names the key that is missing, or is missing itself.
    """
    found, own = (_named_in(path) for path in (current, part))
    while not (current.parent / found / PRIVATE).is_file():
        ballot = current.with_name(f"{_BALLOT}{found or 'nothing'}")
        try:
            os.link(part, ballot)
        except FileExistsError:
            found = _named_in(ballot) or own
        except OSError:  # a file system without hard links
            return own
        else:
            return own
    return found


def _named_in(path: Path) -> str:
    """The name in a file; empty where there is no such file."""
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
