"""Results of DuckDB that are read in pieces, as Arrow."""

import duckdb
import pytest

from core.sources.arrow import read_chunks


def test_interrupted_query() -> None:
    """If a run is canceled, its query is interrupted: that is no error of the file or of the disk."""
    with duckdb.connect() as con:
        chunks = read_chunks(con, "SELECT * FROM range(100_000_000)", 1_000)
        assert next(chunks).num_rows == 1_000
        con.interrupt()
        with pytest.raises(duckdb.InterruptException):
            list(chunks)


def test_too_little_memory() -> None:
    """The error says so, because planning starts again with a higher limit."""
    config: dict[str, str | bool | int | float | list[str]]
    config = {"memory_limit": "10MB", "temp_directory": "", "threads": 1}
    with duckdb.connect(config=config) as con, pytest.raises(duckdb.OutOfMemoryException):
        list(read_chunks(con, "SELECT * FROM range(2_000_000) AS t(i) ORDER BY hash(i)", 1_000))
