"""Files of audiences: whole ones with and without a time or mpids, and changes."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from itertools import count
from pathlib import Path

from core.models.run import SyncMode
from tests.core.world.people import Person


class Shape(StrEnum):
    """What a file is like."""

    TABLE = "table"
    KEYLESS = "keyless"
    """Without mpids: members are known by customer id, or else by email."""
    DOWNLOAD = "download"
    """An audience download, which says how old it is."""


class Sources:
    """Writes files into a directory."""

    def __init__(self, directory: Path) -> None:
        """Take the directory."""
        self._directory = directory
        self._numbers = count(1)

    def write(self, how: SyncMode, shape: Shape, members: Collection[Person], gone: Iterable[Person], at: int) -> Path:
        """Write who is a member and, for changes, who is gone; `at`: the time that a download says."""
        if how is SyncMode.DELTA:
            return self.changes(shape, members, gone)
        return self.download(members, at) if shape is Shape.DOWNLOAD else self.table(shape, members)

    def table(self, shape: Shape, members: Iterable[Person]) -> Path:
        """A plain table of a whole audience."""
        if shape is Shape.KEYLESS:
            return self._save("email,customer_id", [f"{p.email or ''},{p.customer_id or ''}" for p in members])
        rows = [f"{p.mpid},{p.email or ''},{p.customer_id or ''}" for p in members]
        return self._save("mpid,email,customer_id", rows)

    def changes(self, shape: Shape, joined: Iterable[Person], left: Iterable[Person]) -> Path:
        """Who joined and who left, as BigQuery exports it."""
        told = [(person, "true") for person in joined] + [(person, "false") for person in left]
        rows = [f"{p.email or ''},{p.customer_id or ''},{how}" for p, how in told]
        if shape is Shape.KEYLESS:
            return self._save("email,customerid,isadd", rows)
        mpids = [str(p.mpid) for p, _ in told]
        return self._save("mpid,email,customerid,isadd", [",".join(row) for row in zip(mpids, rows, strict=True)])

    def download(self, members: Iterable[Person], at: int) -> Path:
        """mParticle's audience download: a row for each identity."""
        rows = []
        for p in members:
            identities = {"email": p.email, "customer_id": p.customer_id, "ios_idfv": f"device-{p.mpid}"}
            rows += [f"{p.mpid}, {at}, {value}, {kind}" for kind, value in identities.items() if value]
        return self._save("mpid, scanned_timestamp_ms, identity_value, identity_type", rows)

    def _save(self, header: str, rows: Iterable[str]) -> Path:
        path = self._directory / f"audience{next(self._numbers)}.csv"
        path.write_text("".join(f"{line}\n" for line in (header, *rows)))
        return path
