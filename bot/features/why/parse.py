"""What a person typed to name somebody, as it was meant."""

import html
import re

# Slack makes links of addresses and telephone numbers that are typed in a command: <mailto:a@example.com|a@example.com>
_LINK = re.compile(r"<(?:mailto|tel|https?):([^|>]*)(?:\|([^>]*))?>")
_QUOTES = "`\"'“”‘’ \t\n"


def meant(argument: str) -> str:
    """Return the address or the id that was typed: without the link that Slack made of it, and without quotes."""
    text = argument.strip(_QUOTES)
    if link := _LINK.fullmatch(text):
        text = link[2] or link[1]
    return html.unescape(text).strip(_QUOTES)
