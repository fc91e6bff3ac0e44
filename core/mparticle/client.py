"""A client for mParticle's platform API. It reads; it changes nothing in mParticle.

Facts: mParticle's documentation of the Platform API (developers/platform). A token lasts eight hours and takes one to
three seconds, so it is kept. Every request names the account; without access to it the answer is 403 or 404. All
audiences come in one answer.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from core import network
from core.mparticle.errors import (
    AccountAccessError,
    MParticleBusyError,
    MParticleCredentialsError,
    MParticleUnavailableError,
    UnexpectedMParticleError,
)
from core.mparticle.models import Credentials, ListedAudience
from core.mparticle.tokens import TokenCache

TOKEN_HOST = "https://sso.auth.mparticle.com"  # noqa: S105
# What a token is for, in all pods.
_TOKEN_AUDIENCE = "https://api.mparticle.com"  # noqa: S105
REQUEST_TIMEOUT_S = 10.0
ATTEMPTS = 3
#: The longest wait that Retry-After is granted, in seconds: a person waits.
LONGEST_WAIT_S = 5.0
# Bytes of an answer that are read at most: an audience takes about 1 kB.
ANSWER_LIMIT = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class PlatformClient:
    """Reads the audiences of one account. Use it with `async with`."""

    def __init__(self, credentials: Credentials, tokens: TokenCache, *, base_url: str | None = None) -> None:
        """Store the credentials. `base_url` replaces mParticle's hosts (the sandbox). No I/O."""
        self._credentials = credentials
        self._tokens = tokens
        self._token_host = base_url or TOKEN_HOST
        self._host = base_url or credentials.pod.url

    async def __aenter__(self) -> "PlatformClient":
        self._session = aiohttp.ClientSession(
            connector=network.connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def audiences(self) -> list[ListedAudience]:
        """Return the account's active audiences, by name. Raises an MParticleError if they can't be read."""
        answer = await self._get("/v1/audiences")
        content = _json(answer)
        items = content.get("data") if isinstance(content, dict) else content
        if not isinstance(items, list):
            raise _unreadable(answer)
        listed = [audience for item in items if (audience := ListedAudience.read(item))]
        return sorted(listed, key=lambda each: (each.name.casefold(), int(each.id)))

    async def _get(self, path: str) -> _Answer:
        """Send a request with a token. A token that mParticle no longer accepts is replaced once."""
        for is_last in (False, True):
            token = await self._token()
            answer = await self._sent(
                "GET",
                f"{self._host}{path}",
                params={"accountId": self._credentials.account_id},
                headers={"Authorization": f"Bearer {token}"},
            )
            if answer.status != 401 or is_last:
                break
            self._tokens.drop(self._credentials, self._token_host)
        if answer.status == 200:
            return answer
        if answer.status in (401, 403, 404):
            raise AccountAccessError(
                f"mParticle accepts the client id, but not for account {self._credentials.account_id} in "
                f"{self._credentials.pod.label} ({answer.status}). Check the account id and the pod, and that the "
                "credentials may use the Platform API of this account."
            )
        raise _unreadable(answer)

    async def _token(self) -> str:
        credentials = self._credentials
        if known := self._tokens.get(credentials, self._token_host):
            return known
        body = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "audience": _TOKEN_AUDIENCE,
            "grant_type": "client_credentials",
        }
        answer = await self._sent("POST", f"{self._token_host}/oauth/token", body=body)
        if answer.status in (400, 401, 403):
            raise MParticleCredentialsError(
                f"mParticle refuses the client id or the client secret ({answer.status}). Copy both again from "
                "mParticle (Settings, API Credentials); the secret is shown there only once."
            )
        content = _json(answer) if answer.status == 200 else None
        token = content.get("access_token") if isinstance(content, dict) else None
        lasts = content.get("expires_in") if isinstance(content, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise _unreadable(answer)
        lasts_s = float(lasts) if isinstance(lasts, int | float) else 0.0
        self._tokens.keep(credentials, self._token_host, token, lasts_s)
        return token

    async def _sent(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> _Answer:
        """Send a request until an answer comes that is neither 429 nor a server error, or the attempts are used up."""
        pause = 0.3
        for attempt in range(1, ATTEMPTS + 1):
            asked: float | None = None
            try:
                async with self._session.request(
                    method,
                    url,
                    params=params,
                    headers=headers,
                    json=body,
                    allow_redirects=False,
                    proxy=network.proxy_for(url),
                ) as response:
                    answer = _Answer(response.status, await _read(response), response.headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempt == ATTEMPTS or isinstance(error, aiohttp.ClientConnectorCertificateError):
                    raise _unreachable(error, url) from None  # its request contains the secret
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                asked = _seconds(answer.headers.get("Retry-After"))
                if attempt == ATTEMPTS or (asked or 0.0) > LONGEST_WAIT_S:
                    raise _refused(answer, asked)
            await asyncio.sleep(asked if asked is not None else random.uniform(0.0, pause))  # noqa: S311  # jitter
            pause *= 2
        raise AssertionError("the last attempt returns or raises")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise UnexpectedMParticleError("mParticle's answer is far too long. Check the settings of the connection.")
    return body


def _json(answer: _Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        raise _unreadable(answer) from None


def _refused(answer: _Answer, asked: float | None) -> MParticleBusyError | MParticleUnavailableError:
    if answer.status == 429:
        limit = answer.headers.get("X-mp-rate-limit-exceeded", "")
        of_limit = f" of the {limit}" if limit.isalpha() and limit.isascii() else ""
        again = f"in {asked:,.0f} seconds" if asked else "in some minutes"
        return MParticleBusyError(f"mParticle's limit{of_limit} is used up (429). Try again {again}.")
    return MParticleUnavailableError(
        f"mParticle has problems at the moment ({answer.status}), also after {ATTEMPTS} tries. Try again in some "
        "minutes."
    )


def _unreadable(answer: _Answer) -> UnexpectedMParticleError:
    return UnexpectedMParticleError(
        f"mParticle's answer ({answer.status}) is not the one of its Platform API. Check the pod, and whether a proxy "
        "answers in its place."
    )


def _unreachable(error: Exception, url: str) -> MParticleUnavailableError:
    host = url.split("/")[2]
    if fault := network.certificate_fault(error, host):
        return MParticleUnavailableError(fault)
    return MParticleUnavailableError(
        f"mParticle can't be reached at {host}: {network.why_unreachable(error)}. Check the network and try again."
    )


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdecimal() else None
