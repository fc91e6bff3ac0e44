"""Each answer of Iterable in each phase has the outcome in docs/reports/faults.md (tests/campaigns/faults.py writes
it).
"""

from pathlib import Path

import pytest

from tests.core.fault_matrix import FAULTS, PHASES, observe, observe_mixed

TABLE = (Path(__file__).parents[2] / "docs" / "reports" / "faults.md").read_text(encoding="utf-8").splitlines()
#: A fault in each phase. The other rows are extended.
QUICK = set(zip(PHASES, list(FAULTS)[::6], strict=False))


def row(phase: str, fault: str) -> object:
    """The parameters of a row of the table."""
    return pytest.param(phase, fault, marks=() if (phase, fault) in QUICK else pytest.mark.extended)


@pytest.mark.parametrize(("phase", "fault"), [row(phase, fault) for phase in PHASES for fault in FAULTS])
async def test_row(tmp_path: Path, phase: str, fault: str) -> None:
    """A run has the outcome in the table, and the list is equal to the audience after the fault."""
    observed = await observe(tmp_path, phase, fault)
    assert str(observed) in TABLE
    # Iterable never adds a forgotten person again, but removes one.
    is_final = "iterable_forgotten" in observed.rejected and phase != "removals"
    assert observed.after == f"succeeded, list {'NOT ' if is_final else ''}equal"


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.extended)])
async def test_mixed(tmp_path: Path, seed: int) -> None:
    """A run that meets all transient faults has the outcome in the table, and accounts for every member."""
    observed = await observe_mixed(tmp_path, seed)
    assert str(observed) in TABLE
    assert observed.after == "succeeded, list equal"
