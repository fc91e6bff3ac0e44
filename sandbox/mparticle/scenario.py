"""A scenario of a marketer's actions in mParticle, printed as it runs."""

from collections.abc import Callable
from dataclasses import replace

from sandbox.mparticle.client import MParticle
from sandbox.mparticle.messages import Audience, Profile

# The mpid of a profile into which another was merged: this, plus the other's number.
MERGED = 10**9
# The number of profiles between two lines about the progress of the stream.
SAY_EVERY = 1_000


def profile(number: int) -> Profile:
    """Return profile `number`. As in real audiences, one in twenty has no email."""
    email = None if number % 20 == 0 else f"shopper{number}@example.com"
    return Profile(-number if number % 2 else number, email, f"customer-{number}")


async def play_story(
    player: MParticle,
    audience: Audience,
    say: Callable[[str], None],
    *,
    members: int,
    leave: int = 0,
    merge: int = 0,
    rate: float = 0.0,
    disconnect: bool = False,
    erase: int = 0,
) -> None:
    """Register, connect an audience, and let profiles join and leave it.

    `members` profiles join, and the first `leave` of them leave again, at `rate` changes a second. Then `erase` people
    are erased, and with `disconnect` the audience is disconnected. `say` receives a line about each step.
    """
    module = await player.register()
    say(f"Registered: {module['name']} {module['version']}.")
    await player.connect(audience)
    say(f"Connected audience {audience.name} ({audience.id}).")
    changes = [("add", profile(number)) for number in range(1, members + 1)]
    changes += [("delete", profile(number)) for number in range(1, min(leave, members) + 1)]
    reported = 0
    async for sent in player.stream(audience, changes, rate=rate):
        if sent - reported >= SAY_EVERY or sent == len(changes):
            reported = sent
            say(f"{sent:,} of {len(changes):,} changes were accepted.")
        if player.suspended:
            say("The endpoint asks to send no more: a person has to look at the connection.")
            break
    for number in range(members, max(members - merge, 0), -1):
        await player.merge(audience, profile(number), replace(profile(number), mpid=MERGED + number))
    if merge:
        say(f"Merged {min(merge, members):,} profiles into new ones.")
    for number in range(1, erase + 1):
        await player.erase(mpid=str(profile(number).mpid))
    if erase:
        say(f"Asked to forget {erase:,} people.")
    if disconnect:
        await player.disconnect(audience)
        say(f"Disconnected audience {audience.name}.")
