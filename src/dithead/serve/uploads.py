"""Keeps uploads, which may come in parts and be resumed: what has come is the size of the file on the disk."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dithead.errors import DitheadError
from dithead.serve.content_check import Media
from dithead.serve.database import JOBS, UPLOADS, one_at_a_time
from dithead.serve.errors import ApiError, not_found
from dithead.serve.inspector import Inspector
from dithead.serve.keys import Owner
from dithead.serve.options import GIB, MIB, ServeOptions
from dithead.serve.schemas import Upload, UploadMedia
from dithead.serve.storage import Storage, new_id

CONTENT = "content"


class UploadStore:
    """The table of uploads and their files."""

    def __init__(self, options: ServeOptions, storage: Storage, engine: sa.Engine, inspector: Inspector) -> None:
        self.options, self.storage, self.engine, self.inspector = options, storage, engine, inspector

    def create(self, owner: Owner, name: str, size: int) -> Upload:
        """Make room for a file of a size in bytes.

        Raises:
            ApiError: It is too large, the key has no room left, or the disk is nearly full.
        """
        if size > self.options.max_upload * MIB:
            raise ApiError(
                413, f"{name}: has {size / MIB:.0f} MB; this server takes {self.options.max_upload:g} at most"
            )
        row = {"id": new_id(), "owner": owner.id, "name": name, "size": size, "created": time.time()}
        folder = self.storage.upload(str(row["id"]))
        folder.mkdir(mode=0o700)
        (folder / CONTENT).touch(mode=0o600)
        try:
            with self.engine.begin() as c:
                one_at_a_time(c, "uploads")  # of all owners, because they share the disk
                c.execute(UPLOADS.insert().values(**row))
                self._check_room(c, owner, name, size)
        except BaseException:
            self.storage.remove(folder)
            raise
        return self.get(owner, str(row["id"]))

    def get(self, owner: Owner, upload_id: str) -> Upload:
        """Return an upload. Raises ApiError where there is none, or it is somebody else's."""
        return self._view(self._row(owner, upload_id))

    def all(self, owner: Owner) -> list[Upload]:
        """Return all uploads of an owner, newest first."""
        query = sa.select(UPLOADS).where(UPLOADS.c.owner == owner.id).order_by(UPLOADS.c.created.desc())
        with self.engine.connect() as c:
            return [self._view(row._asdict()) for row in c.execute(query)]

    def file(self, upload: Upload) -> Path:
        """Return the file of an upload."""
        return self.storage.upload(upload.id) / CONTENT

    def finish(self, owner: Owner, upload: Upload) -> Upload:
        """Check a file that has come whole; one that is no media file is deleted.

        Raises:
            MediaError: It is damaged, or no media file.
            ConfigError: It is longer or larger than the server takes.
            ApiError: Too many other files are being checked; this one is kept.
        """
        try:
            media = self.inspector.inspect(self.file(upload), upload.name)
        except ApiError:  # the server has no time for it now; an empty part asks again
            raise
        except DitheadError:
            self.delete(owner, upload.id)
            raise
        with self.engine.begin() as c:
            c.execute(UPLOADS.update().where(UPLOADS.c.id == upload.id).values(media=asdict(media)))
        return self.get(owner, upload.id)

    def finished(self, owner: Owner, upload_id: str) -> tuple[str, Media]:
        """Return the name and content of an upload that has come whole.

        Raises:
            ApiError: There is none, or parts of it are missing.
        """
        row = self._row(owner, upload_id)
        if row["media"] is None:
            raise ApiError(409, f"{row['name']}: has not come whole; send the rest first")
        return row["name"], Media(**row["media"])

    def delete(self, owner: Owner, upload_id: str) -> None:
        """Delete an upload. Jobs keep the files that they read."""
        row = self._row(owner, upload_id)
        with self.engine.begin() as c:
            c.execute(UPLOADS.delete().where(UPLOADS.c.id == row["id"]))
        self.storage.remove(self.storage.upload(row["id"]))

    def delete_older(self, than: float) -> int:
        """Delete uploads made before a time; returns how many."""
        with self.engine.begin() as c:
            old = list(c.execute(sa.select(UPLOADS.c.id).where(UPLOADS.c.created < than)).scalars())
            c.execute(UPLOADS.delete().where(UPLOADS.c.id.in_(old)))
        for upload_id in old:
            self.storage.remove(self.storage.upload(upload_id))
        return len(old)

    def stored_bytes(self, owner: Owner) -> int:
        """Return the bytes that an owner's uploads and results take, each upload at its full size."""
        with self.engine.connect() as c:
            return _stored_bytes(c, owner)

    def max_bytes(self, owner: Owner) -> int:
        """Return the bytes that an owner may store."""
        return int((owner.max_storage or self.options.max_storage) * GIB)

    def check_storage(self, c: sa.Connection, owner: Owner, name: str, added: int, needed: int = 1) -> None:
        """Refuse a row that this transaction has written, where its owner has no room for it.

        Args:
            c: The transaction.
            owner: Whose row it is.
            name: Of the upload or the job, for the message.
            added: Bytes that the row counts for.
            needed: Bytes that must have been left without it.

        Raises:
            ApiError: Less is left.
        """
        if _stored_bytes(c, owner) - added + needed > self.max_bytes(owner):
            raise ApiError(
                429, f"{name}: no room is left of {self.max_bytes(owner) / GIB:.3g} GB; delete jobs or uploads"
            )

    def _check_room(self, c: sa.Connection, owner: Owner, name: str, size: int) -> None:
        """Refuse an upload that this transaction has written, where the disk or its owner has no room for it."""
        if self.storage.free_bytes() - self._promised_bytes(c) < self.options.min_free * GIB:
            raise ApiError(507, "the server's disk is nearly full; try again later, or delete what is no longer needed")
        count = c.execute(sa.select(sa.func.count()).where(UPLOADS.c.owner == owner.id)).scalar_one()
        if count > self.options.max_uploads:
            raise ApiError(429, f"there are {self.options.max_uploads} uploads already; delete some of them")
        self.check_storage(c, owner, name, size, size)

    def _promised_bytes(self, c: sa.Connection) -> int:
        """Bytes that are still to come of all uploads, whoever makes them."""
        unfinished = c.execute(sa.select(UPLOADS.c.id, UPLOADS.c.size).where(UPLOADS.c.media.is_(None)))
        return sum(max(0, row.size - self._size(row.id)) for row in unfinished)

    def _size(self, upload_id: str) -> int:
        """Bytes that have come of an upload."""
        try:
            return (self.storage.upload(upload_id) / CONTENT).stat().st_size
        except FileNotFoundError:
            return 0

    def _row(self, owner: Owner, upload_id: str) -> dict[str, Any]:
        query = sa.select(UPLOADS).where(UPLOADS.c.id == upload_id, UPLOADS.c.owner == owner.id)
        with self.engine.connect() as c:
            row = c.execute(query).first()
        if row is None:
            raise not_found("upload")
        return row._asdict()

    def _view(self, row: dict[str, Any]) -> Upload:
        return Upload(
            id=row["id"],
            name=row["name"],
            size=row["size"],
            offset=self._size(row["id"]),
            created=row["created"],
            expires=row["created"] + self.options.keep * 3600,
            media=None if row["media"] is None else UploadMedia(**row["media"]),
        )


def _stored_bytes(c: sa.Connection, owner: Owner) -> int:
    sums = [
        c.execute(sa.select(sa.func.coalesce(sa.func.sum(column), 0)).where(table.c.owner == owner.id)).scalar()
        for table, column in ((UPLOADS, UPLOADS.c.size), (JOBS, JOBS.c.bytes))
    ]
    return sum(int(each or 0) for each in sums)
