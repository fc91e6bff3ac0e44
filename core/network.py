"""Outgoing connections: every client uses the proxy and the certificates from the environment.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (in upper or lower case) name the proxy for a host, as in curl.
`SSL_CERT_FILE`, or else `REQUESTS_CA_BUNDLE`, names the certificate authorities to trust instead of the system's. Other
programs share these environment variables, so they are not settings in `.env`.
"""

import os
import ssl
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from core.errors import SettingsError

#: The variables that name certificate authorities. The first that is set is used.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def proxy_for(url: str | URL) -> str | None:
    """Return the address of the proxy for a URL, with its user and password, or None if there is no proxy.

    Raises SettingsError if the environment names a proxy that can't be used.
    """
    target = URL(url)
    scheme = _SCHEMES.get(target.scheme, "")
    if not (os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")):
        return None  # as for most requests: reading the whole environment takes 0.1 ms
    proxies: dict[str, str] = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme, "").strip()
    if not proxy or not target.host or _is_bypassed(target, proxies):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        is_usable = URL(proxy).scheme in {"http", "https"} and bool(URL(proxy).host)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(
            f"{scheme.upper()}_PROXY is not the address of a proxy that can be used. Give it as http://host:port."
        )
    return proxy


def shown(proxy: str) -> str:
    """Return a proxy's address without its user and password."""
    return str(URL(proxy).origin())


def ca_file() -> tuple[str, Path] | None:
    """Return the variable that names certificate authorities and its file or directory (None: use the system's)."""
    for name in CA_VARIABLES:
        if value := os.environ.get(name, "").strip():
            return name, Path(value)
    return None


def tls_context() -> ssl.SSLContext:
    """Return the TLS context of connections. Raises SettingsError if the environment's certificates can't be read."""
    named = ca_file()
    return _context(*named) if named else _context(None, None)


@cache
def _context(variable: str | None, path: Path | None) -> ssl.SSLContext:
    if variable is None or path is None:
        return ssl.create_default_context()
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:  # ssl.SSLError, for a file that contains no certificate, is one too
        raise SettingsError(
            f"{variable} names {path}, which can't be read as certificates ({error.strerror or type(error).__name__}). "
            "Give a file in PEM format, or leave it out to trust the system's certificate authorities."
        ) from error


def connector(**options: Any) -> aiohttp.TCPConnector:
    """Return a connector for an aiohttp session. The session has to pass `proxy_for` with each request.

    Raises SettingsError if the environment's certificates can't be read.
    """
    # aiohttp has read the system's certificates when it was imported: to read them again takes 40 ms
    return aiohttp.TCPConnector(ssl=tls_context() if ca_file() else True, **options)


def certificate_fault(error: BaseException, host: str) -> str | None:
    """Return an error text if a host's certificate is not trusted, or None. Another try does not help."""
    if not isinstance(error, aiohttp.ClientConnectorCertificateError):
        return None
    cause = getattr(error.certificate_error, "verify_message", "") or "it is not valid"
    return (
        f"The certificate of {host} is not trusted ({cause}). If a proxy of your company opens encrypted connections, "
        "set SSL_CERT_FILE to a file that holds its certificate authority and the public ones; if not, see whether "
        "this is the right host, and whether the clock is right."
    )


def why_unreachable(error: BaseException) -> str:
    """Return in a few words why a request got no answer."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == 407:
            return (
                "the proxy asks for a user and a password (407): write them in HTTPS_PROXY, http://user:password@host"
            )
        return f"the proxy answers {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy that HTTPS_PROXY or HTTP_PROXY names can't be reached"
    reasons: list[tuple[type[BaseException], str]] = [
        (aiohttp.ClientConnectorDNSError, "its name is not known"),
        (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
        (aiohttp.ClientSSLError, "no secure connection (TLS) can be made"),
        (TimeoutError, "no answer came in time"),
        (aiohttp.ClientConnectorError, "no connection can be made"),
        (aiohttp.ClientPayloadError, "the answer broke off"),
    ]
    return next((words for kind, words in reasons if isinstance(error, kind)), "the connection broke")


def _is_bypassed(target: URL, proxies: dict[str, str]) -> bool:
    is_bypassed = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it
    host = target.host or ""
    return bool(is_bypassed(f"{host}:{target.port}", proxies) or is_bypassed(host, proxies))
