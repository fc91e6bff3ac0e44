"""`iterable-sync audiences`, and mappings of audiences that mParticle names."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.downloads import Scanned, write_download
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.bot.cli.commands import Commands, LocalIterable, Result


@pytest.fixture
def platform(run: Commands) -> Iterator[Platform]:
    """mParticle's platform API, in a thread of its own, for a connection "shop"."""
    listed = [
        ListedAudience(8754, "Spring - 90 days", 4_725, 132, 41),
        ListedAudience(2, "Birthday [red]today[/red]", None, None, None),
        ListedAudience(3, "Twins", 3, 0, 0),
        ListedAudience(4, "twins", 4, 0, 0),
    ]
    played = Platform(accounts={DEFAULT_ACCOUNT: listed})
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with running(played) as local:
            run.env["ITERABLE_SYNC_MPARTICLE_URL"] = local.url
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    assert run.here("connections", "add", "shop").code == 0
    yield played
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def connect(run: Commands, platform: Platform, *options: str, secret: str | None = None) -> Result:
    """Give the connection access."""
    arguments = ("--client-id", platform.client_id, "--account", DEFAULT_ACCOUNT, "--secret-stdin", *options)
    return run.here("audiences", "connect", "shop", *arguments, stdin=f"{secret or platform.client_secret}\n")


def test_audiences_by_name(run: Commands, platform: Platform, iterable: LocalIterable) -> None:
    """Audiences are listed with their sizes, mapped by name, and their size is next to ours."""
    assert run.here("audiences", "list", "shop").code == 2
    refused = connect(run, platform, secret="wrong")
    assert (refused.code, "refuses the client id" in refused.err) == (2, True)
    connected = connect(run, platform)
    assert (connected.code, "4 active audiences" in connected.out) == (0, True), connected.err

    listed = run.here("audiences", "list", "shop").out
    assert [line.split() for line in listed.splitlines() if "Spring" in line] == [
        ["8754", "Spring", "-", "90", "days", "4,725", "132", "41"]
    ]
    assert "Birthday [red]today[/red]" in listed
    assert "Spring" not in run.here("audiences", "list", "shop", "--search", "twins").out

    target = iterable.new_list()
    added = run.here("mappings", "add", "--list", target, "--audience", "spring - 90 DAYS", "--connection", "shop")
    assert "audience Spring - 90 days (8754)" in added.out
    assert "In mParticle: 4,725 people, +132 and -41 in 24 hours." in added.out
    twins = run.here("mappings", "add", "--list", target, "--audience", "Twins", "--connection", "shop")
    assert (twins.code, "Choose by id: 3, 4." in twins.err) == (2, True)
    typed = run.here("mappings", "add", "--list", target, "--audience", "Autumn", "--connection", "shop")
    assert (typed.code, 'no active audience "Autumn"' in typed.err) == (0, True)
    sizes = {line.split()[1]: line.split()[-1] for line in run.here("mappings", "list").out.splitlines()}
    assert (sizes["Spring"], sizes["Autumn"]) == ("4,725", "-")
    assert "4,725 people, +132 and -41 in 24 hours" in run.here("mappings", "show", 1).out


def test_access_is_checked_replaced_and_deleted(run: Commands, platform: Platform) -> None:
    """`doctor` tries the access, commands go on without mParticle, and no output or file has the secret."""
    assert connect(run, platform, "--pod", "eu1").code == 0
    assert "account 4711 (EU1), client ID ...ient" in run.here("connections", "show", "shop").out
    assert "answers (EU1); active audiences in it: 4" in run.here("doctor").out

    first, platform.client_secret = platform.client_secret, "replaced-in-mparticle"
    platform.expire_tokens()
    doctor = run.here("doctor")
    assert (doctor.code, "refuses the client id" in doctor.out) == (1, True)
    run.here("audiences", "list", "shop")
    assert "client ID or secret refused" in run.here("connections", "show", "shop").out
    assert connect(run, platform).code == 0
    assert "refused" not in run.here("connections", "show", "shop").out

    assert run.here("audiences", "disconnect", "shop").code == 0
    again = run.here("audiences", "disconnect", "shop")
    assert (again.code, "no access to mParticle" in again.err) == (2, True)
    files = [file.read_bytes() for file in (run.folder / "data").glob("*.*")]
    assert not any(secret.encode() in content for secret in (first, platform.client_secret) for content in files)


@pytest.mark.extended
def test_variants_of_one_download(run: Commands, iterable: LocalIterable) -> None:
    """Each variant goes to its own list in a run of its own; the control and what has no list go nowhere."""
    names = ("Blue", "Green", "Red", "Control")
    exported = {
        Audience(7, f"Spring - {name}"): [Scanned(Profile(n, f"p{n}@example.com", f"c{n}"), 1_750_000_000_000)]
        for n, name in enumerate(names, 1)
    }
    path = write_download(run.folder / "spring.zip", exported, made_ms=1_750_000_000_000)
    blue, green = iterable.new_list(), iterable.new_list()

    shown = run.here("mappings", "variants", path).out
    assert [line.split()[0] for line in shown.splitlines()[1:5]] == list(names)
    for wrong in (["Pink=1"], ["Control=1"], ["Blue"], ["Blue=1", "Red=1"], ["Blue=1", "Blue=2"]):
        options = [part for each in wrong for part in ("--to", each)]
        assert run.here("mappings", "variants", path, *options).code == 2
    done = run("mappings", "variants", path, "--to", f"blue={blue}", "--to", f"Spring - Green={green}")
    assert done.code == 0, done.err
    assert (iterable.emails(blue), iterable.emails(green)) == ({"p1@example.com"}, {"p2@example.com"})
    listed = run.here("mappings", "list").out
    assert ("Spring - Blue" in listed, "Spring - Red" in listed) == (True, False)
    assert run.here("mappings", "variants", run.audience([1])).code == 2
