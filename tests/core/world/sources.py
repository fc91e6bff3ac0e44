"""Files of audiences: whole ones, with or without a time and mpids, and changes."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from itertools import count
from pathlib import Path

from core.models.run import SyncMode
from tests.core.world.people import Person


class Shape(StrEnum):
    """The shape of a file."""

    TABLE = "table"
    KEYLESS = "keyless"
    """Without mpids: the customer id identifies a member, or else the email."""
    DOWNLOAD = "download"
    """An audience download, which has a time."""


class Sources:
    """A writer of files in a directory."""

    def __init__(self, directory: Path) -> None:
        """Store the directory."""
        self._directory = directory
        self._numbers = count(1)

    def write(
        self, mode: SyncMode, shape: Shape, members: Collection[Person], leavers: Iterable[Person], at: int
    ) -> Path:
        """Write members and, for changes, leavers. `at` is the time in a download, in milliseconds since 1970."""
        if mode is SyncMode.DELTA:
            return self.changes(shape, members, leavers)
        return self.download(members, at) if shape is Shape.DOWNLOAD else self.table(shape, members)

    def table(self, shape: Shape, members: Iterable[Person]) -> Path:
        """Write a plain table of a whole audience."""
        if shape is Shape.KEYLESS:
            return self._save("email,customer_id", [f"{p.email or ''},{p.customer_id or ''}" for p in members])
        rows = [f"{p.mpid},{p.email or ''},{p.customer_id or ''}" for p in members]
        return self._save("mpid,email,customer_id", rows)

    def changes(self, shape: Shape, joined: Iterable[Person], left: Iterable[Person]) -> Path:
        """Write members who joined and who left, like BigQuery's export."""
        marked_people = [(person, "true") for person in joined] + [(person, "false") for person in left]
        rows = [f"{p.email or ''},{p.customer_id or ''},{is_add}" for p, is_add in marked_people]
        if shape is Shape.KEYLESS:
            return self._save("email,customerid,isadd", rows)
        mpids = [str(p.mpid) for p, _ in marked_people]
        return self._save("mpid,email,customerid,isadd", [",".join(row) for row in zip(mpids, rows, strict=True)])

    def download(self, members: Iterable[Person], at: int) -> Path:
        """Write an audience download of mParticle: a row for each identity."""
        rows = []
        for p in members:
            identities = {"email": p.email, "customer_id": p.customer_id, "ios_idfv": f"device-{p.mpid}"}
            rows += [f"{p.mpid}, {at}, {value}, {kind}" for kind, value in identities.items() if value]
        return self._save("mpid, scanned_timestamp_ms, identity_value, identity_type", rows)

    def _save(self, header: str, rows: Iterable[str]) -> Path:
        path = self._directory / f"audience{next(self._numbers)}.csv"
        path.write_text("".join(f"{line}\n" for line in (header, *rows)))
        return path
