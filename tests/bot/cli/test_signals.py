"""Runs that stop halfway, by an error, by Ctrl-C or by a cancellation; and how they resume."""

import signal

import pytest

from tests.bot.cli.commands import Commands, LocalIterable, until

SUBSCRIBE = "/api/lists/subscribe"


@pytest.mark.extended
def test_interrupted_run_resumes(run: Commands, iterable: LocalIterable) -> None:
    """Ctrl-C stops a run cleanly with exit code 130, and `runs resume` completes it."""
    target = iterable.new_list()
    file = run.audience(range(3000))

    with run.started("sync", file, "--list", target, "--rate", 1, "--json") as command:
        until(lambda: iterable.requests(SUBSCRIBE))
        command.process.send_signal(signal.SIGINT)
        stopped = command.ended()

    run_id = stopped.object["run_id"]
    assert stopped.code == 130, stopped.err
    assert stopped.object["status"] == "interrupted"
    assert f"iterable-sync runs resume {run_id}" in stopped.err
    assert len(iterable.emails(target)) < 3000

    resumed = run("runs", "resume", run_id, "--json")

    assert resumed.code == 0, resumed.err
    assert resumed.object["added"] == 3000
    assert len(iterable.emails(target)) == 3000


@pytest.mark.extended
def test_second_interrupt_ends_at_once(run: Commands, iterable: LocalIterable) -> None:
    """A second Ctrl-C does not wait for requests in progress, and prints how to resume."""
    target = iterable.new_list()
    iterable.control("POST", "/faults", {"action": "hang", "path": SUBSCRIBE})

    with run.started("sync", run.audience([1]), "--list", target) as command:
        until(lambda: "Uploading" in command.err.read_text())
        command.process.send_signal(signal.SIGINT)
        until(lambda: "Stopping" in command.err.read_text())
        command.process.send_signal(signal.SIGINT)
        left = command.ended()

    assert left.code == 130
    assert "iterable-sync runs resume" in left.err


@pytest.mark.extended
def test_run_whose_process_died_is_not_called_running(run: Commands, iterable: LocalIterable) -> None:
    """A run in progress shows its progress; once its process was killed, it is interrupted and can be resumed."""
    iterable.control("POST", "/faults", {"action": "hang", "path": SUBSCRIBE})

    with run.started("sync", run.audience([1]), "--list", iterable.new_list()) as command:
        until(lambda: "Uploading" in command.err.read_text())
        run_id = command.err.read_text().removeprefix("Run ").partition(":")[0]
        alive = run.here("runs", "show", run_id)
        command.process.kill()
        command.process.wait()

    dead = run.here("runs", "show", run_id)

    assert "Uploading, 0 of 1" in alive.out
    assert "1  not done yet" in alive.out
    assert f"Run {run_id} interrupted" in dead.out
    assert f"  To resume:  iterable-sync runs resume {run_id}\n" in dead.out
    assert "Interrupted" in run.here("runs", "list").out


def test_failed_run_says_why_and_resumes(run: Commands, iterable: LocalIterable) -> None:
    """A run that fails after its start has exit code 1, and resumes once the cause is gone."""
    target = iterable.new_list()
    iterable.control("POST", "/faults", {"action": "error", "path": SUBSCRIBE, "status": 401, "code": "BadApiKey"})

    failed = run.here("sync", run.audience([1]), "--list", target, "--json")

    assert failed.code == 1
    assert failed.object["status"] == "failed"
    assert "Iterable refuses the API key" in failed.object["error"]
    assert f"iterable-sync runs resume {failed.object['run_id']}" in failed.err

    iterable.control("DELETE", "/faults")

    assert run.here("runs", "resume", failed.object["run_id"]).code == 0
    assert iterable.emails(target) == {"p1@example.com"}


@pytest.mark.extended
def test_live_run_is_cancelled(run: Commands, iterable: LocalIterable) -> None:
    """`runs cancel` stops the process that executes a run, and waits for it."""
    target = iterable.new_list()

    with run.started("sync", run.audience(range(9000)), "--list", target, "--rate", 1, "--json") as command:
        until(lambda: iterable.requests(SUBSCRIBE))
        run_id = command.err.read_text().removeprefix("Run ").partition(":")[0]
        cancelled = run.here("runs", "cancel", run_id)
        ended = command.ended()

    assert cancelled.code == 0, cancelled.err
    assert ended.code == 1
    assert ended.object["status"] == "cancelled"
    assert run.here("runs", "resume", run_id).code == 2


def test_finished_run_is_neither_resumed_nor_cancelled(run: Commands, iterable: LocalIterable) -> None:
    """A finished run can be neither resumed nor cancelled."""
    done = run.here("sync", run.audience([1]), "--list", iterable.new_list(), "--json")

    resumed, cancelled = (run.here("runs", command, done.object["run_id"]) for command in ("resume", "cancel"))

    assert (resumed.code, cancelled.code) == (2, 2)
    assert "has ended (succeeded)" in resumed.err
