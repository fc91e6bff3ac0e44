"""Scripted outcomes: rules for addresses and user ids that produce every outcome on demand.

| address at         | user id beginning with | subscribing it                                   |
|--------------------|------------------------|--------------------------------------------------|
| invalid.test       | invalid-               | fails: invalidEmails, invalidUserIds             |
| forgotten.test     | forgotten-             | fails: forgottenEmails, forgottenUserIds         |
| conflict.test      | conflict-              | fails: conflictEmails, conflictUserIds           |
| invaliddata.test   | invaliddata-           | fails: invalidDataEmails, invalidDataUserIds     |
| notfound.test      | notfound-              | fails: notFoundEmails, notFoundUserIds           |
| unattributed.test  | unattributed-          | fails: counted in failCount and named nowhere    |
| poison.test        | poison-                | the whole request is refused: 400 BadParams      |
| crash.test         | crash-                 | the whole request fails: 500 GenericError        |

(That GenericError is also for faults that stay, such as a user that can't be created, is documented; that a list call
answers so because of one member is our inference.)

Unsubscribing: invalid, forgotten, unattributed, poison and crash do the same; the others were never on a list
and so come back as not found. Good people have addresses at example.com, or at any other valid domain.

Without any rule, an email that can't be an address comes back in invalidEmails, and a user id that is
empty, longer than 52 characters, not printable ASCII or ends in a space in invalidUserIds. A subscriber
with neither is counted in failCount and named nowhere.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_KINDS: Final = {
    "invalid": "invalid",
    "forgotten": "forgotten",
    "conflict": "conflict",
    "invaliddata": "invalidData",
    "notfound": "notFound",
}
BUCKETS: Final = tuple(f"{kind}{identifier}" for kind in _KINDS.values() for identifier in ("Emails", "UserIds"))
"""The lists of `failedUpdates`, by name."""

UNNAMED: Final = ""  # counted, but named in no list
POISON: Final = "poison"  # makes Iterable reject the whole request
POISONED: Final = "One of the subscribers can't be processed"
CRASH: Final = "crash"  # fails the whole request

EMAIL_RULES: Final = {f"{rule}.test": f"{kind}Emails" for rule, kind in _KINDS.items()} | {
    "unattributed.test": UNNAMED,
    "poison.test": POISON,
    "crash.test": CRASH,
}
USER_ID_RULES: Final = {f"{rule}-": f"{kind}UserIds" for rule, kind in _KINDS.items()} | {
    "unattributed-": UNNAMED,
    "poison-": POISON,
    "crash-": CRASH,
}
WHEN_UNSUBSCRIBING: Final = frozenset(
    {"invalidEmails", "invalidUserIds", "forgottenEmails", "forgottenUserIds", UNNAMED, POISON, CRASH}
)

MAX_USER_ID: Final = 52  # characters
MAX_EMAIL: Final = 254  # characters
MAX_LOCAL: Final = 64  # characters

_LOCAL = re.compile(r"[^\s()<>@,;:\\\"\[\].\x00-\x1f\x7f]+(?:\.[^\s()<>@,;:\\\"\[\].\x00-\x1f\x7f]+)*")
_DOMAIN = re.compile(r"(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+([^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})")
_NO_TLD: Final = frozenset({"example", "invalid", "localhost", "local", "internal", "lan", "corp"})
_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789._+-'@\n"

_plain_domains: set[str] = {"example.com", "placeholder.email"}
_PLAIN_DOMAINS_KEPT: Final = 100_000
_DOMAINS_AT_ONCE: Final = 4  # replaced in the whole text, one after the other; for more, addresses are split


class Failure(NamedTuple):
    """A failed member: the list of `failedUpdates` that names it, and the name in it."""

    bucket: str
    value: str


def valid_domain(domain: str) -> bool:
    """Whether a domain is valid for a validator that knows top-level domains."""
    match = _DOMAIN.fullmatch(domain)
    return match is not None and match[1] not in _NO_TLD


def valid_email(email: str) -> bool:
    """Whether Iterable accepts this (lower-cased) address."""
    local, at, domain = email.rpartition("@")
    return (
        bool(at)
        and len(email) <= MAX_EMAIL
        and len(local) <= MAX_LOCAL
        and _LOCAL.fullmatch(local) is not None
        and valid_domain(domain)
    )


def valid_user_id(user_id: str) -> bool:
    """Whether Iterable accepts this user id."""
    return 0 < len(user_id) <= MAX_USER_ID and user_id.isascii() and user_id.isprintable() and not user_id.endswith(" ")


def judge(email: str | None, user_id: str | None) -> Failure | None:
    """Return the failure of a subscriber by rule and by form, or None for a good one."""
    if email is not None:
        bucket = EMAIL_RULES.get(email.rpartition("@")[2])
        if bucket is not None:
            return Failure(bucket, email)
        if not valid_email(email):
            return Failure("invalidEmails", email)
    if user_id is not None:
        bucket = USER_ID_RULES.get("".join(user_id.partition("-")[:2]))
        if bucket is not None:
            return Failure(bucket, user_id)
        if not valid_user_id(user_id):
            return Failure("invalidUserIds", user_id)
    if email is None and user_id is None:
        return Failure(UNNAMED, "")
    return None


def plain_emails(emails: list[str]) -> list[str] | None:
    """Return a whole batch in lower case if certainly all addresses are good ones, else None.

    It checks the batch as one text instead of each address: `judge` is exact, this is fast.
    """
    given = "\n".join(emails)
    text = given.lower()
    if not text.isascii() or text.encode().translate(None, _PLAIN) or text.count("\n") != len(emails) - 1:
        return None
    lowered = emails if text == given else text.split("\n")
    if max(map(len, lowered)) > MAX_LOCAL:
        return None
    locals_only = _without_domains(f"\n{text}\n", len(emails))
    if locals_only is None or "\n\r" in locals_only:
        return None
    if "." in locals_only and any(pair in locals_only for pair in ("..", "\n.", ".\r")):
        return None
    return lowered


def _without_domains(text: str, lines: int) -> str | None:
    """Return the text with every domain replaced by a mark if all are valid and without a rule, else None."""
    domains: set[str] = set()
    for _ in range(_DOMAINS_AT_ONCE):
        at = text.find("@")
        if at < 0:
            break
        domain = text[at + 1 : text.find("\n", at)]
        domains.add(domain)
        text = text.replace(f"@{domain}\n", "\r\n")  # a second @ in a line can no longer match
    if "@" in text:
        cut = [line.split("@") for line in text.split("\n")]
        if any(len(parts) > 2 or (len(parts) == 2 and parts[1].endswith("\r")) for parts in cut):
            return None
        domains.update(parts[1] for parts in cut if len(parts) == 2)
        text = "\n".join(parts[0] + "\r" if len(parts) == 2 else parts[0] for parts in cut)
    return text if text.count("\r") == lines and _all_plain(domains) else None


def _all_plain(domains: set[str]) -> bool:
    unseen = domains - _plain_domains
    if any(domain in EMAIL_RULES or not valid_domain(domain) for domain in unseen):
        return False
    if len(_plain_domains) + len(unseen) > _PLAIN_DOMAINS_KEPT:
        _plain_domains.clear()
    _plain_domains.update(unseen)
    return True


def plain_user_ids(user_ids: list[str]) -> bool:
    """Whether certainly all user ids of a batch are good ones."""
    text = "".join(user_ids)
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    lengths = set(map(len, user_ids))
    if lengths and (min(lengths) < 1 or max(lengths) > MAX_USER_ID):
        return False
    return "-" not in text or not any(prefix in text for prefix in USER_ID_RULES)
