"""`iterable-sync sandbox mparticle` plays mParticle against a running installation."""

import asyncio
import sys
from pathlib import Path

from sandbox.mparticle import Audience
from tests.firehosing import LIST, TOKEN, firehosing


async def play(url: str, *options: str) -> tuple[int, str]:
    """Run the command; returns its exit code and what it said."""
    program = "from bot.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "sandbox", "mparticle", "--url", url, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_plays_to_the_end(tmp_path: Path) -> None:
    """It registers, connects an audience and streams its members, who are on the list in the end."""
    async with firehosing(tmp_path, firehose_approval="none") as it:
        url = f"{it.base_url}/mparticle/firehose/{TOKEN}"
        options = ["--members", "40", "--leave", "10", "--rate", "0", "--list", str(LIST), "--audience-id", "7"]
        code, said = await play(url, *options, "--audience", "Sale", "--api-key", it.iterable.key)
        assert (code, "50 of 50 changes were taken." in said) == (0, True)
        (mapping,) = await it.mappings()
        assert (mapping.audience_id, mapping.audience_name) == ("7", "Sale")

        await it.settled(Audience(7, "Sale"))
        assert len(it.emails()) == 28  # of the 30 who stay two have no email


async def test_wrong_token(tmp_path: Path) -> None:
    """Where the endpoint refuses it says what to look at."""
    async with firehosing(tmp_path, worker=False) as it:
        code, said = await play(f"{it.base_url}/mparticle/firehose/wrong")
        assert code == 1
        assert "404" in said
        assert "token" in said
