"""Change the code in small ways, one at a time, and check whether a test fails: `make mutants`.

A mutant is a module with one operator, constant or condition replaced, as cosmic-ray defines them. A sample of all
mutants is drawn with a fixed seed. Each runs the tests that execute the changed line, as coverage recorded it, in a forked process
that imports the mutated source in place of the module; files stay unchanged. A mutant that passes all tests survives: it
needs a test, or its code is not needed. Tests that start a process of their own can't kill a mutant here.
"""

import argparse
import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]

#: Modules whose code is changed; a path may have a wildcard.
TARGETS = (
    "core/identity.py",
    "core/planning/*.py",
    "core/delivery/*.py",
    "core/runs/*.py",
    "core/store/ledger.py",
    "core/store/approvals.py",
)

#: Tests of a mutant are taken from here. Those of the bot would notice more, and take an hour under coverage.
TESTS = ("tests/core",)

#: A mutant is tried with the tests named after its module, and with as many others that execute the changed line as
#: take so many seconds on unchanged code: those that a person would run.
OTHERS_S = 60

#: Tests with request time-outs so short that coverage makes all their requests late.
TOO_QUICK = ("tests/core/runs/test_run_order.py::test_placeholder_is_renamed_during_its_removal",)

#: The operators of cosmic-ray that make useful mutants. Replacing `|` is left out: it is nearly always a type.
OPERATORS = (
    "core/AddNot",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ZeroIterationForLoop",
    "core/NumberReplacer",
    "core/ReplaceBinaryOperator_Add_Sub",
    "core/ReplaceBinaryOperator_Sub_Add",
    "core/ReplaceBinaryOperator_Mul_Add",
    "core/ReplaceComparisonOperator_Eq_NotEq",
    "core/ReplaceComparisonOperator_NotEq_Eq",
    "core/ReplaceComparisonOperator_Lt_LtE",
    "core/ReplaceComparisonOperator_LtE_Lt",
    "core/ReplaceComparisonOperator_Gt_GtE",
    "core/ReplaceComparisonOperator_GtE_Gt",
    "core/ReplaceComparisonOperator_Is_IsNot",
    "core/ReplaceComparisonOperator_IsNot_Is",
)

#: The files of a record, in its folder.
DATA_FILE, TIMES_FILE = ".coverage", "times.xml"

#: Tests that take longer than this, and ten times as long as they take on unchanged code, are ended: the mutant loops,
#: and counts as killed.
LIMIT_S = 300

#: So many tests may fail on unchanged code, because the machine is busy: they are left out.
FAILURES = 5


@dataclass(frozen=True)
class Mutant:
    """A change of one module: the operator's `occurrence`th place in the file."""

    path: str
    operator: str
    occurrence: int


@dataclass(frozen=True)
class Verdict:
    """The outcome of a mutant: `killed`, `timed out` or `survived`."""

    mutant: Mutant
    diff: str
    outcome: str
    seconds: float


class MutatedModule(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from changed source."""

    def __init__(self, path: str, source: str) -> None:
        self._name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self._path, self._source = path, source

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the mutated module only."""
        if name != self._name:
            return None
        is_package = self._path.endswith("__init__.py")
        return importlib.util.spec_from_file_location(
            name,
            ROOT / self._path,
            loader=self,
            submodule_search_locations=[str((ROOT / self._path).parent)] if is_package else None,
        )

    def get_source(self, fullname: str) -> str:
        """Return the changed source."""
        return self._source

    def is_package(self, fullname: str) -> bool:
        """Say whether the module is a package."""
        return self._path.endswith("__init__.py")

    def exec_module(self, module: ModuleType) -> None:
        """Execute the changed source."""
        exec(compile(self._source, str(ROOT / self._path), "exec"), module.__dict__)


class TestMap:
    """The tests that execute each line, with how long each takes. Tests that failed on unchanged code are left out."""

    def __init__(self, folder: Path) -> None:
        """Read coverage's data with a context per test, and pytest's times in JUnit's format.

        For use in this process only: coverage erases data that a forked process reads on.
        """
        from coverage import CoverageData

        self._data = CoverageData(str(folder / DATA_FILE))
        self._data.read()
        cases = [case for case in ET.parse(folder / TIMES_FILE).iter("testcase") if case.find("failure") is None]
        self._seconds = {f"{case.get('file')}::{case.get('name')}": float(case.get("time") or 0) for case in cases}

    def tests_of(self, path: str, line: int) -> list[str]:
        """Return the tests to try for a line that they execute: those named after its module first, then the quickest
        that take OTHERS_S in all.

        A line that runs at import only has the tests that execute anything else of its module.
        """
        contexts_by_line = self._data.contexts_by_lineno(str(ROOT / path))
        executing = {context for number in header_lines(path, line) for context in contexts_by_line.get(number, [])}
        if executing == {""}:  # at import
            executing = {context for contexts in contexts_by_line.values() for context in contexts}
        names = {context.rpartition("|")[0] for context in executing} & self._seconds.keys()
        # the first letters of a word: retry.py has its tests in test_retries.py
        words = [word[:4] for word in Path(path).stem.split("_") if len(word) >= 4]
        own = {name for name in names if any(word in Path(name.partition("::")[0]).stem for word in words)}
        tests = sorted(names, key=lambda name: (name not in own, self._seconds[name], name))
        ends = accumulate(0.0 if name in own else self._seconds[name] for name in tests)
        return [name for name, end in zip(tests, ends, strict=True) if end <= OTHERS_S]

    def seconds(self, tests: Iterable[str]) -> float:
        """Return how long tests take on unchanged code, in seconds."""
        return sum(self._seconds[test] for test in tests)


def header_lines(path: str, line: int) -> range:
    """Return the lines of the innermost statement around a line, without the body of a compound statement."""
    innermost = range(line, line + 1)
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if node.lineno <= line <= max(end, node.lineno):
                innermost = range(node.lineno, max(end, node.lineno) + 1)
    return innermost


def record_tests(folder: Path) -> None:
    """Run all tests once under coverage, and record which test executes which line. Keeps an earlier record, if any.

    Exits if more than a few tests fail.
    """
    digest = folder / "digest"
    current = hashlib.sha256(b"".join(file.read_bytes() for file in targets())).hexdigest()
    settings = folder / "coverage.ini"
    settings.write_text("[run]\nsource = core\nconcurrency = thread, greenlet\n")
    data, times = folder / DATA_FILE, folder / TIMES_FILE
    if times.exists():
        if digest.read_text() != current:
            sys.exit(f"The record in {folder} is of other code. Delete it.")
        return
    command = [
        sys.executable,
        "-m",
        "pytest",
        *TESTS,
        "-m",
        "",
        "-q",
        "-p",
        "no:cacheprovider",
        "--cov",
        "--cov-context=test",
    ]
    command += [f"--cov-config={settings}", "--cov-report=", f"--junit-xml={times}", "-o", "junit_family=xunit1"]
    command += [f"--maxfail={FAILURES + 1}", *(f"--deselect={test}" for test in TOO_QUICK)]
    subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, "COVERAGE_FILE": str(data)})
    failed = sum(case.find("failure") is not None for case in ET.parse(times).iter("testcase"))
    if failed > FAILURES:
        times.unlink()
        sys.exit("Tests fail on unchanged code, so every mutant would count as killed.")
    digest.write_text(current)


def targets() -> list[Path]:
    """Return the files whose code is changed."""
    return sorted(file for pattern in TARGETS for file in ROOT.glob(pattern))


def all_mutants() -> Iterator[Mutant]:
    """Yield every mutant of the targets."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    for file in targets():
        source = file.read_text()
        nodes, constants = list(ast_nodes(get_ast(source))), lines_of_constants(source)
        for name in OPERATORS:
            operator = get_operator(name)()
            positions = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for occurrence, (line, _) in enumerate(positions):
                if name != "core/NumberReplacer" or line not in constants:
                    yield Mutant(str(file.relative_to(ROOT)), name, occurrence)


def lines_of_constants(source: str) -> set[int]:
    """Return the lines of a module's constants. Most are limits and waits: a test of one would repeat the number."""
    assignments = [node for node in ast.parse(source).body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    return {line for node in assignments for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def mutate(mutant: Mutant) -> tuple[str, str]:
    """Return the changed source of a mutant, and the lines that changed."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    before = (ROOT / mutant.path).read_text()
    after = mutate_code(before, get_operator(mutant.operator)(), mutant.occurrence) or before
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return after, "\n".join(line for line in lines if line[0] in "+-@" and not line.startswith(("+++", "---")))


class FirstFailure:
    """A plugin of pytest that writes the name of the first test that fails into a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failed test, and one whose fixture failed."""
        if report.failed and not self._file.exists():
            self._file.write_text(report.nodeid)


def outcome_of(path: str, source: str, tests: Sequence[str], limit_s: float) -> str:
    """Run the tests on a mutant, and the one that failed once more: on a busy machine it may have failed by itself.

    Returns the outcome, as of `run_tests`.
    """
    left = list(tests)
    with tempfile.TemporaryDirectory() as folder:
        failure = Path(folder) / "failure"
        while (outcome := run_tests(path, source, left, limit_s, failure)) == "killed" and failure.exists():
            failed = failure.read_text()
            failure.unlink()
            if run_tests(path, source, [failed], limit_s, failure) != "survived" or failed not in left:
                return outcome
            failure.unlink(missing_ok=True)
            left = left[left.index(failed) + 1 :]
            if not left:
                return "survived"
        return outcome


def run_tests(path: str, source: str, tests: Sequence[str], limit_s: float, failure: Path) -> str:
    """Run the tests in a child process with a module replaced, for a time in seconds, until one fails.

    Returns the outcome, and writes the name of the failed test into the file `failure`.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        sys.meta_path.insert(0, MutatedModule(path, source))
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["TMPDIR"], tempfile.tempdir = scratch, None
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch
            import pytest

            code = pytest.main(
                ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "", *tests], [FirstFailure(failure)]
            )
        os._exit(int(code))
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def check_unchanged(path: str, record: Path) -> None:
    """Try an unchanged module as if it were a mutant. Exits if that is killed: then every mutant would be."""
    source = (ROOT / path).read_text()
    quickest = TestMap(record).tests_of(path, 1)[:5]
    if not quickest or outcome_of(path, source, quickest, LIMIT_S) != "survived":
        sys.exit(f"The tests of {path} fail here on unchanged code.")


def forget_survivors(log: Path) -> list[Mutant]:
    """Take the survivors of an earlier campaign out of its log, and return the mutants that were killed on today's code."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    kept = [row for row in rows if row["outcome"] != "survived" and is_current(row)]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in kept))
    return [Mutant(**row["mutant"]) for row in kept]


def is_current(row: dict[str, Any]) -> bool:
    """Return whether a mutant of the log changes the same lines today."""
    mutant = Mutant(**row["mutant"])
    return (ROOT / mutant.path).exists() and mutate(mutant)[1] == str(row["diff"])


def judge(mutants: Sequence[Mutant], record: Path, log: Path) -> None:
    """Run mutants one after another, and write a line of JSON for each."""
    tests = TestMap(record)
    with log.open("a") as file:
        for mutant in mutants:
            source, diff = mutate(mutant)
            line = int(re.search(r"@@ -(\d+)", diff).group(1))  # type: ignore[union-attr] # each diff has a header
            start = time.monotonic()
            executing = tests.tests_of(mutant.path, line)
            limit_s = max(LIMIT_S, 10 * tests.seconds(executing))
            outcome = outcome_of(mutant.path, source, executing, limit_s) if executing else "survived"
            verdict = Verdict(mutant, diff, outcome, round(time.monotonic() - start, 1))
            print(json.dumps(asdict(verdict)), file=file, flush=True)
            print(f"{verdict.outcome:9} {verdict.seconds:6.1f} s  {mutant.path}:{line}  {mutant.operator}", flush=True)


def report(log: Path, sample: int, total: int, seed: int) -> str:
    """Return the report of a campaign in Markdown."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    survivors = [row for row in rows if row["outcome"] == "survived"]
    killed = len(rows) - len(survivors)
    tried_by_path = Counter(row["mutant"]["path"] for row in rows)
    surviving_by_path = Counter(row["mutant"]["path"] for row in survivors)
    timed_out = sum(row["outcome"] == "timed out" for row in rows)
    summary = (
        f"{len(rows)} of {total:,} mutants were tried (a sample of {sample}, seed {seed}). Tests noticed {killed} "
        f"({killed / max(1, len(rows)):.1%}); {timed_out} of these ran into the time limit."
    )
    lines = [
        "# Mutants",
        "",
        "`make mutants` changes the code in small ways, one at a time, and looks whether a test fails.",
        "",
        summary,
        "",
        "| module | tried | survived |",
        "| --- | ---: | ---: |",
        *(f"| `{path}` | {tried_by_path[path]} | {surviving_by_path[path]} |" for path in sorted(tried_by_path)),
        "",
        "## Survivors",
        "",
    ]
    for row in survivors:
        lines += [f"`{row['mutant']['path']}`", "", "```diff", row["diff"], "```", ""]
    return "\n".join(lines if survivors else [*lines, "None.", ""])


def main() -> None:
    """Draw the sample, run it, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=120, help="how many mutants to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many to try at the same time")
    parser.add_argument("--only", default="", help="try only mutants of paths with this text")
    parser.add_argument(
        "--log",
        type=Path,
        default=Path(tempfile.gettempdir()) / "mutants.jsonl",
        help="what was killed earlier is not tried again",
    )
    parser.add_argument("--record", type=Path, help="a directory that keeps which test executes which line")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "reports" / "mutants.md")
    options = parser.parse_args()

    os.chdir(ROOT)
    candidates = [mutant for mutant in all_mutants() if options.only in mutant.path]
    sample = random.Random(options.seed).sample(candidates, min(options.sample, len(candidates)))
    killed = forget_survivors(options.log)
    to_try = [mutant for mutant in sample if mutant not in killed]
    # Imported once here, so that no mutant has to import them. pytest refuses plugins that are imported before it starts.
    for name in ("pytest", "duckdb", "pyarrow", "sqlalchemy", "aiohttp", "pydantic_settings"):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        record = options.record or Path(folder)
        record_tests(record)
        check_unchanged(sample[0].path, record)
        children = []
        for number in range(options.jobs):
            if (child := os.fork()) == 0:
                judge(to_try[number :: options.jobs], record, options.log)
                os._exit(0)
            children.append(child)
        failed = [child for child in children if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0]
    if failed:
        sys.exit("A process of the campaign failed.")
    options.report.write_text(report(options.log, len(sample), len(candidates), options.seed))
    print(f"The report is in {options.report}.")


if __name__ == "__main__":
    main()
