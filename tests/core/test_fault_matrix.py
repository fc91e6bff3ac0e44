"""Each answer of Iterable in each phase ends as docs/reports/faults.md says (tests/campaigns/faults.py writes it)."""

from pathlib import Path

import pytest

from tests.core.fault_matrix import FAULTS, PHASES, observe, observe_mixed

TABLE = (Path(__file__).parents[2] / "docs" / "reports" / "faults.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("phase", PHASES)
async def test_row(tmp_path: Path, phase: str, fault: str) -> None:
    """A run ends, says and repeats what the table says, and the list is equal once the fault has passed."""
    row = await observe(tmp_path, phase, fault)
    assert str(row) in TABLE
    assert row.afterwards == "succeeded, list equal"


@pytest.mark.parametrize("seed", range(2))
async def test_mixed(tmp_path: Path, seed: int) -> None:
    """A run that meets all passing faults together ends as the table says, with every member accounted for."""
    row = await observe_mixed(tmp_path, seed)
    assert str(row) in TABLE
    assert row.afterwards == "succeeded, list equal"
