"""Makes and checks API keys, of which only hashes are stored, and the signed sessions of browsers.

A key is 256 random bits, so that one plain SHA-256 keeps it secret: there is no dictionary of such keys to try.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sa

from dithead.errors import ConfigError
from dithead.serve.database import KEYS, META
from dithead.serve.storage import new_id

PREFIX = "dh_"
_CLOSED = "needs a key"  # entry of the table of settings that keeps a server closed whose last key was revoked
SESSION_SECONDS = 7 * 24 * 3600  # how long a browser stays signed in (our choice)


@dataclass(frozen=True)
class Owner:
    """Whose jobs and uploads a request may see, with limits of its own where they were set."""

    id: str
    name: str
    max_jobs: int | None = None
    max_storage: float | None = None  # GB


LOCAL = Owner("local", "local")
"""The only owner where no key is needed."""


class KeyStore:
    """The table of keys."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def add(self, name: str, max_jobs: int | None = None, max_storage: float | None = None) -> str:
        """Make a key.

        Args:
            name: Its name, of its own.
            max_jobs: Unfinished jobs, at most; the server's limit when None.
            max_storage: GB, at most; the server's limit when None.

        Returns:
            The key, which is not stored and cannot be shown again.

        Raises:
            ConfigError: There is a key of that name.
        """
        key = PREFIX + secrets.token_urlsafe(32)
        row = {"id": new_id(), "name": name, "hash": _hash(key), "created": time.time()}
        try:
            with self.engine.begin() as c:
                c.execute(KEYS.insert().values(**row, max_jobs=max_jobs, max_storage=max_storage))
        except sa.exc.IntegrityError:
            raise ConfigError(f"there is a key '{name}' already; choose another name or revoke it") from None
        return key

    def revoke(self, name: str) -> None:
        """Delete a key; requests go on needing one, even after the last. Raises ConfigError where there is no such."""
        with self.engine.begin() as c:
            if not c.execute(KEYS.delete().where(KEYS.c.name == name)).rowcount:
                raise ConfigError(f"there is no key '{name}'; `dithead api-keys list` shows them")
            c.execute(META.delete().where(META.c.name == _CLOSED))
            c.execute(META.insert().values(name=_CLOSED, value="yes"))

    def open(self) -> None:
        """Need no key any more. Raises ConfigError while there is one."""
        if names := self.names():
            raise ConfigError(f"there are keys ({', '.join(names)}); revoke them first")
        with self.engine.begin() as c:
            c.execute(META.delete().where(META.c.name == _CLOSED))

    def names(self) -> list[str]:
        """Return the names of all keys."""
        with self.engine.connect() as c:
            return list(c.execute(sa.select(KEYS.c.name).order_by(KEYS.c.name)).scalars())

    def any(self) -> bool:
        """Return whether there is a key."""
        with self.engine.connect() as c:
            return c.execute(sa.select(KEYS.c.id).limit(1)).first() is not None

    def needed(self) -> bool:
        """Return whether requests need a key: there is one, or there was one and nobody has opened the server since."""
        known = sa.select(KEYS.c.id).exists(), sa.select(META.c.name).where(META.c.name == _CLOSED).exists()
        with self.engine.connect() as c:
            return bool(c.execute(sa.select(sa.or_(*known))).scalar_one())

    def by_key(self, key: str) -> Owner | None:
        """Return the owner of a key; None where it is wrong."""
        return self._find(KEYS.c.hash == _hash(key))

    def by_id(self, owner_id: str) -> Owner | None:
        """Return the owner of an id; None once the key is revoked."""
        return self._find(KEYS.c.id == owner_id)

    def _find(self, condition: sa.ColumnElement[bool]) -> Owner | None:
        columns = (KEYS.c.id, KEYS.c.name, KEYS.c.max_jobs, KEYS.c.max_storage)
        with self.engine.connect() as c:
            row = c.execute(sa.select(*columns).where(condition)).first()
        return None if row is None else Owner(*row)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def sign_session(owner_id: str, secret: bytes) -> str:
    """Return the cookie of a browser that has shown a key: who it is, until when, and the server's signature."""
    text = f"{owner_id}.{int(time.time()) + SESSION_SECONDS}"
    return f"{text}.{_signature(text, secret)}"


def owner_of_session(cookie: str, secret: bytes) -> str | None:
    """Return the owner's id that a cookie holds; None where it is forged or has expired."""
    text, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(_signature(text, secret).encode(), signature.encode()):
        return None
    owner_id, _, until = text.partition(".")
    return owner_id if int(until) > time.time() else None


def _signature(text: str, secret: bytes) -> str:
    return hmac.new(secret, b"session " + text.encode(), hashlib.sha256).hexdigest()
