"""The client reads audiences from mParticle's platform API, and says in a sentence what is wrong."""

import dataclasses
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import SyncError
from core.mparticle.client import PlatformClient
from core.mparticle.errors import (
    AccountAccessError,
    MParticleBusyError,
    MParticleCredentialsError,
    MParticleUnavailableError,
    UnexpectedMParticleError,
)
from core.mparticle.models import Credentials, ListedAudience, Pod
from core.mparticle.tokens import TokenCache
from sandbox.mparticle.lifecycle import RunningPlatform, running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, Platform
from sandbox.mparticle.platform import ListedAudience as Stored

TOKEN, AUDIENCES = "/oauth/token", "/v1/audiences"


@pytest.fixture
async def local() -> AsyncIterator[RunningPlatform]:
    """The local platform API with two audiences."""
    listed = [Stored(2, "Winter", 12, 3, 1, external_name="winter_2026"), Stored(1, "Spring", None, None, None)]
    async with running(Platform(accounts={DEFAULT_ACCOUNT: listed, 4712: []})) as started:
        yield started


def credentials(local: RunningPlatform, **changed: Any) -> Credentials:
    """The right credentials, with changes."""
    right = Credentials(local.platform.client_id, local.platform.client_secret, str(DEFAULT_ACCOUNT), Pod.US1)
    return dataclasses.replace(right, **changed)


async def fetched(local: RunningPlatform, tokens: TokenCache | None = None, **changed: Any) -> list[ListedAudience]:
    """Read the audiences."""
    async with PlatformClient(credentials(local, **changed), tokens or TokenCache(), base_url=local.url) as client:
        return await client.audiences()


async def test_audiences(local: RunningPlatform) -> None:
    """Audiences come by name, with what mParticle has computed, and are found by each of their names."""
    spring, winter = await fetched(local)
    assert spring == ListedAudience("1", "Spring", "Spring")
    assert winter == ListedAudience("2", "winter_2026", "Winter", 12, 3, 1)
    assert [winter.is_called(text) for text in ("WINTER", " winter_2026 ", "2", "Wint")] == [True, True, True, False]


async def test_strange_names(local: RunningPlatform) -> None:
    """Names arrive on one line, without control characters; what has no id or no name is left out."""
    names = ["<b>&amp;</b> *x*", "a\nb\x1b[31m\u202ec", "家族 👨‍👩‍👧", "x" * 400, "", "  "]
    local.platform.accounts[DEFAULT_ACCOUNT] = [Stored(n, name, 1) for n, name in enumerate(names, 1)]
    read = {each.id: each.name for each in await fetched(local)}
    assert read == {"1": names[0], "2": "a b [31m c", "3": "家族 👨 👩 👧", "4": names[3]}


async def test_token_is_kept_until_it_expires(local: RunningPlatform) -> None:
    """A token is fetched once, again when mParticle no longer accepts it, and each time if it does not last."""
    tokens = TokenCache()
    for _ in range(2):
        await fetched(local, tokens)
    assert local.platform.requests == {TOKEN: 1, AUDIENCES: 2}
    local.platform.expire_tokens()
    assert len(await fetched(local, tokens)) == 2
    assert local.platform.requests == {TOKEN: 2, AUDIENCES: 4}
    local.platform.token_lasts_s = 60.0
    local.platform.expire_tokens()
    for _ in range(2):
        await fetched(local, tokens)
    assert local.platform.requests[TOKEN] == 4


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"client_id": "another"}, MParticleCredentialsError, "Copy both again"),
        ({"client_secret": "another"}, MParticleCredentialsError, "Copy both again"),
        ({"account_id": "99"}, AccountAccessError, "account 99 in US1 (404)"),
        ({"account_id": "4712"}, AccountAccessError, "account 4712 in US1 (403)"),
    ],
)
async def test_refused(local: RunningPlatform, changed: dict[str, Any], kind: type[SyncError], words: str) -> None:
    """Wrong credentials and an account without access are different errors."""
    with pytest.raises(kind) as caught:
        await fetched(local, **changed)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("path", "refusal", "kind", "words"),
    [
        ("audiences", {"status": 503, "times": 3}, MParticleUnavailableError, "(503), also after 3 tries"),
        ("token", {"status": 500, "times": 3}, MParticleUnavailableError, "(500)"),
        ("audiences", {"status": 429, "headers": {"Retry-After": "90"}}, MParticleBusyError, "in 90 seconds"),
        (
            "audiences",
            {"status": 429, "times": 3, "headers": {"X-mp-rate-limit-exceeded": "account"}},
            MParticleBusyError,
            "limit of the account is used up",
        ),
        ("audiences", {"status": 200, "text": "<html>"}, UnexpectedMParticleError, "proxy"),
        ("audiences", {"status": 200, "text": '{"data": 1}'}, UnexpectedMParticleError, "proxy"),
        ("audiences", {"status": 302, "headers": {"Location": "/"}}, UnexpectedMParticleError, "(302)"),
        ("token", {"status": 200, "text": "[]"}, UnexpectedMParticleError, "proxy"),
        ("audiences", {"status": 401, "times": 2}, AccountAccessError, "(401)"),
    ],
)
async def test_faults(
    local: RunningPlatform,
    path: str,
    refusal: dict[str, Any],
    kind: type[SyncError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each fault is a sentence that contains no secret, and neither does the log."""
    local.platform.refuse(path, **refusal)
    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
        await fetched(local)
    assert words in caught.value.message
    assert local.platform.client_secret not in caplog.text + str(caught.value) + repr(credentials(local))


async def test_transient_faults_are_retried(local: RunningPlatform) -> None:
    """A server error, a 429 and a token that was withdrawn are overcome."""
    local.platform.refuse("token", 502)
    local.platform.refuse("audiences", 503)
    local.platform.refuse("audiences", 429, headers={"Retry-After": "0"})
    local.platform.refuse("audiences", 401)
    assert len(await fetched(local)) == 2


async def test_envelope(local: RunningPlatform) -> None:
    """An answer in the envelope of mParticle's other resources is read as well."""
    local.platform.refuse("audiences", 200, text='{"data": [{"id": 7, "name": "Ada"}, {"id": "x"}, 1], "errors": null}')
    assert [each.name for each in await fetched(local)] == ["Ada"]


async def test_unreachable() -> None:
    """A host that does not answer is named."""
    async with running() as started:
        gone = started
    with pytest.raises(MParticleUnavailableError, match=r"can't be reached at 127\.0\.0\.1"):
        await fetched(gone)


def test_pods() -> None:
    """Each pod has its own host."""
    assert [pod.url for pod in Pod] == [
        "https://api.mparticle.com",
        "https://api.us2.mparticle.com",
        "https://api.eu1.mparticle.com",
        "https://api.au1.mparticle.com",
    ]
