"""The request log: a ring buffer of the latest requests with their arrival times, and totals of all."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any, Final

KEPT: Final = 20_000  # requests


@dataclass(slots=True)
class Record:
    """A finished request. Status 0: it got no answer."""

    seq: int
    at: float  # seconds on the monotonic clock, when it arrived
    method: str
    path: str
    status: int
    ms: float
    subscribers: int
    list_id: int | None
    fault: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the record for the control API."""
        return asdict(self)


class RequestLog:
    """The requests, in the order of the answers."""

    def __init__(self, kept: int = KEPT) -> None:
        self.records: deque[Record] = deque(maxlen=kept)
        self.totals: Counter[tuple[str, int]] = Counter()
        self.subscribers = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self._seq = 0

    def add(
        self,
        *,
        at: float,
        now: float,
        method: str,
        path: str,
        route: str,
        status: int,
        subscribers: int,
        list_id: int | None,
        fault: str | None,
    ) -> None:
        """Record a request; `route` is its path without ids, for the totals."""
        self._seq += 1
        self.totals[f"{method} {route}", status] += 1
        self.subscribers += subscribers
        ms = round((now - at) * 1000, 3)
        self.records.append(Record(self._seq, at, method, path, status, ms, subscribers, list_id, fault))

    def find(self, path: str = "", method: str = "", after: int = 0, limit: int | None = None) -> list[Record]:
        """Return the latest requests whose path begins with `path`, oldest first."""
        records = [
            record
            for record in self.records
            if record.seq > after and record.path.startswith(path) and method in {"", record.method}
        ]
        return records if limit is None else records[max(len(records) - limit, 0) :]

    def arrivals(self, path: str = "", method: str = "") -> list[float]:
        """Return the arrival times of requests, in seconds on the monotonic clock, in order."""
        return sorted(record.at for record in self.find(path, method))

    def total(self, path: str = "", status: int | None = None) -> int:
        """Return the total of requests to routes that begin with `path`, with that status."""
        return sum(
            count
            for (route, answered), count in self.totals.items()
            if route.partition(" ")[2].startswith(path) and status in {None, answered}
        )

    def totals_by_route(self) -> dict[str, dict[str, int]]:
        """Return the totals as `{"POST /api/lists/subscribe": {"200": 12}}`."""
        shown: dict[str, dict[str, int]] = {}
        for (route, status), count in sorted(self.totals.items()):
            shown.setdefault(route, {})[str(status)] = count
        return shown

    def clear(self) -> None:
        """Delete all requests. The numbering continues."""
        self.records.clear()
        self.totals.clear()
        self.subscribers = 0
        self.peak_in_flight = self.in_flight
