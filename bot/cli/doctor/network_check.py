"""The network check: the proxy and the certificate authorities that every client uses."""

import os
import ssl

from bot.cli.doctor import CheckResult
from core import network
from core.errors import SettingsError


def network_finding() -> CheckResult:
    """Return which proxy and which certificate authorities are used, without the proxy's user and password."""
    try:
        proxies = {scheme: network.proxy_for(f"{scheme}://proxied.invalid") for scheme in ("https", "http")}
        network.tls_context()
    except SettingsError as error:
        return CheckResult("network", False, error.message)
    used = [f"{network.shown(proxy)} for {scheme}://" for scheme, proxy in proxies.items() if proxy]
    without = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    text = f"through the proxy {', '.join(used)}" if used else "without a proxy"
    if used and without:
        text += f", but not to {without}"
    named = network.ca_file()
    place = f"{named[1]} ({named[0]})" if named else ssl.get_default_verify_paths().cafile or "those of the system"
    return CheckResult("network", True, f"{text}; certificate authorities: {place}")
