"""`iterable-sync sandbox mparticle` plays mParticle against a running installation."""

import asyncio
import sys
from pathlib import Path

from sandbox.mparticle import Audience
from tests.firehosing import LIST, TOKEN, firehosing


async def play(url: str, *options: str) -> tuple[int, str]:
    """Run the command. Returns its exit code and its output."""
    program = "from bot.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "sandbox", "mparticle", "--url", url, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_plays_to_the_end(tmp_path: Path) -> None:
    """The command registers, connects an audience and sends its members, and they are on the list at the end."""
    async with firehosing(tmp_path, firehose_approval="none") as live:
        url = f"{live.base_url}/mparticle/firehose/{TOKEN}"
        options = ["--members", "40", "--leave", "10", "--rate", "0", "--list", str(LIST), "--audience-id", "7"]
        code, output = await play(url, *options, "--audience", "Sale", "--api-key", live.iterable.key)
        assert (code, "50 of 50 changes were accepted." in output) == (0, True)
        (mapping,) = await live.mappings()
        assert (mapping.audience_id, mapping.audience_name) == ("7", "Sale")

        await live.settled(Audience(7, "Sale"))
        assert len(live.emails()) == 28  # 2 of the 30 who stay have no email


async def test_wrong_token(tmp_path: Path) -> None:
    """If the endpoint refuses the token, the command says what to check."""
    async with firehosing(tmp_path, worker=False) as live:
        code, output = await play(f"{live.base_url}/mparticle/firehose/wrong")
        assert code == 1
        assert "404" in output
        assert "token" in output
