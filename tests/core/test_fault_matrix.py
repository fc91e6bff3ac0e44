"""Each answer of Iterable in each phase ends as docs/reports/faults.md says (tests/campaigns/faults.py writes it)."""

from itertools import cycle
from pathlib import Path

import pytest

from tests.core.fault_matrix import FAULTS, PHASES, observe, observe_mixed

TABLE = (Path(__file__).parents[2] / "docs" / "reports" / "faults.md").read_text(encoding="utf-8").splitlines()
#: Each fault in one phase, and each phase with some faults. The other rows are extended.
QUICK = set(zip(cycle(PHASES), FAULTS, strict=False))


def row(phase: str, fault: str) -> object:
    """The parameters of a row of the table."""
    return pytest.param(phase, fault, marks=() if (phase, fault) in QUICK else pytest.mark.extended)


@pytest.mark.parametrize(("phase", "fault"), [row(phase, fault) for phase in PHASES for fault in FAULTS])
async def test_row(tmp_path: Path, phase: str, fault: str) -> None:
    """A run ends, says and repeats what the table says, and the list is equal once the fault has passed."""
    observed = await observe(tmp_path, phase, fault)
    assert str(observed) in TABLE
    # A person who is forgotten in Iterable is never added again, but is taken off.
    is_final = "iterable_forgotten" in observed.rejected and phase != "removals"
    assert observed.afterwards == f"succeeded, list {'NOT ' if is_final else ''}equal"


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.extended)])
async def test_mixed(tmp_path: Path, seed: int) -> None:
    """A run that meets all passing faults together ends as the table says, with every member accounted for."""
    observed = await observe_mixed(tmp_path, seed)
    assert str(observed) in TABLE
    assert observed.afterwards == "succeeded, list equal"
