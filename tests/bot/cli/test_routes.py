"""`iterable-sync routes` and `deliveries` on the command line."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bot.cli.exit_codes import ExitCode
from tests.bot.cli.commands import Commands, LocalIterable


class _Handler(BaseHTTPRequestHandler):
    """Takes what is sent to /hook."""

    def do_POST(self) -> None:
        """Answer a request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/hook" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def _receiver() -> Iterator[str]:
    """The address of a receiver, which runs in a thread because the commands take the event loop."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_routes(run: Commands) -> None:
    """A route is added with a secret that is printed once, tested, listed with its deliveries, and removed."""
    with _receiver() as url:
        made = run.here("routes", "add", "ops", "--webhook", f"{url}/hook", "--event", "run.*")
        secret = made.out.strip()
        assert secret.startswith("whsec_")
        assert run.here("routes", "add", "ops", "--webhook", url).code == ExitCode.BAD_INPUT
        assert run.here("routes", "add", "wrong", "--webhook", f"{url}/other").code == ExitCode.OK
        tested = run.here("routes", "test", "ops")
        assert (tested.code, "works" in tested.out) == (ExitCode.OK, True)
        refused = run.here("routes", "test", "wrong")
        assert (refused.code, "it answered 404" in refused.out) == (ExitCode.FAILED, True)
    listed = run.here("routes", "list").out
    assert url in listed
    assert "/hook" not in listed
    assert secret not in listed
    deliveries = run.here("deliveries", "list", "--status", "failed").out
    assert "it answered 404" in deliveries
    assert "works" not in deliveries
    assert "1 deliveries" in run.here("deliveries", "replay", "--failed", "wrong").out
    assert run.here("deliveries", "replay").code == ExitCode.BAD_INPUT
    assert run.here("routes", "remove", "ops").code == ExitCode.OK
    assert run.here("routes", "remove", "ops").code == ExitCode.BAD_INPUT


def test_sync_sends_its_events(run: Commands, iterable: LocalIterable) -> None:
    """A sync in a terminal sends its events before it ends, although no worker runs."""
    with _receiver() as url:
        run.here("routes", "add", "ops", "--webhook", f"{url}/hook", "--event", "run.*")
        assert run.here("sync", run.audience(range(1)), "--list", iterable.new_list()).code == ExitCode.OK
    listed = run.here("deliveries", "list", "--status", "delivered").out
    assert "run.started" in listed
    assert "run.succeeded" in listed
    assert run.here("deliveries", "list", "--status", "pending").out == "There are no such deliveries.\n"


def test_headers(run: Commands) -> None:
    """A header's value comes from the environment, and what is wrong is said."""
    address = ("routes", "add", "genie", "--webhook", "https://receiver.example/", "--template", "opsgenie")
    assert run.here(*address, "--header", "Authorization=KEY").code == ExitCode.BAD_INPUT
    assert run.here(*address, "--header", "Authorization=KEY", env={"KEY": "GenieKey 1"}).code == ExitCode.OK
    assert "GenieKey" not in run.here("routes", "list").out
    wrong = run.here("routes", "add", "x", "--webhook", "https://receiver.example/", "--template", "none.json")
    assert (wrong.code, "none.json" in wrong.err) == (ExitCode.BAD_INPUT, True)


def test_alert_rules(run: Commands) -> None:
    """Rules are shown, changed for a connection or a mapping, and tested with the routes; open alerts are listed."""
    assert "No alert is open" in run.here("alerts", "list").out
    assert "There are no routes" in run.here("alerts", "test").out
    assert run.here("connections", "add", "shop", "--data-center", "us").code == ExitCode.OK
    made = run.here("mappings", "add", "--connection", "shop", "--list", "1001", "--audience", "Shoppers")
    assert made.code == ExitCode.OK, made.err
    assert run.here("alerts", "set-rule", "overdue", "--connection", "shop", "--limit", "26").code == ExitCode.OK
    assert run.here("alerts", "set-rule", "drift", "--mapping", "1", "--off").code == ExitCode.OK
    shown = run.here("alerts", "rules", "--mapping", "1").out
    assert "26 hours" in shown
    assert "off" in shown
    assert run.here("alerts", "rules").code == ExitCode.BAD_INPUT
    assert run.here("alerts", "set-rule", "drift", "--mapping", "1", "--off", "--limit", "3").code == ExitCode.BAD_INPUT
    assert run.here("alerts", "set-rule", "drift", "--mapping", "1", "--limit", "-3").code == ExitCode.BAD_INPUT
