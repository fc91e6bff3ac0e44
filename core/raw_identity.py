"""Identities as files and messages write them, cleaned of what is no part of them. Pure, no I/O.

Whatever the format, an identity passes here before anything is compared or sent: white space and invisible
characters are taken off, so are the signs that mail programs put around an address, and a word that stands for
"nothing" is no identity.
"""

import re

#: Words that stand for "nothing", in lower case: `NULL` and `\\N` of databases, `nan`, `None` and `undefined` of
#: programs, `N/A` and a hyphen of people.
NULL_WORDS = ("null", "\\n", "n/a", "na", "nan", "none", "undefined", "(null)", "-")

# Unicode's categories Z and Cf but for the plain space, as tests compare with `unicodedata`: no-break and zero-width
# spaces, the byte order mark, the soft hyphen, marks of direction.
_INVISIBLE = (
    "\u00a0\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064"
    "\u2066-\u206f\u3000\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
_NAMED_ADDRESS = re.compile(r"[^<>]*<([^<>]*@[^<>]*)>[\s,;.]*", re.S)
_MAILTO = re.compile(r"mailto:([^?]*)(?:\?.*)?", re.I | re.S)
_AROUND = " \t\r\n\"'`,;\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb()[]"
_SPREADSHEET_TEXT = re.compile(r'="([^"]*)"')
# An apostrophe makes a cell text in a spreadsheet, in front of what it would take for a formula or a number.
_APOSTROPHE = re.compile(r"'(?=[=+@\-0-9])")

#: What a spreadsheet makes of a long number, or of a value that it can't show (RE2 and Python read it alike).
REWRITTEN_ID_PATTERN = r"-?[0-9](\.[0-9]+)?[eE]\+[0-9]{2,3}|##+|#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)"


def visible(text: str) -> str:
    """Return a text without invisible characters, and without white space around it."""
    return INVISIBLE.sub("", text).strip()


def is_null_word(text: str) -> bool:
    """Whether a cleaned text is empty, or a word that stands for nothing."""
    return not text or text.lower() in NULL_WORDS


def clean_email(raw: str | None) -> str | None:
    """Return an address without what stands around it, as it is spelled; None if there is none.

    A display name, `mailto:`, angle brackets, quotation marks and a trailing comma, semicolon or full stop are no part
    of it. What is no address afterwards either stays as it is, and is rejected later.
    """
    text = visible(raw or "")
    if is_null_word(text):
        return None
    bare = text
    for _ in range(5):  # they can be nested: "<mailto:ann@example.com>,"
        named = _NAMED_ADDRESS.fullmatch(bare)
        stripped = (named[1] if named else bare).strip(_AROUND).rstrip(".")
        mailto = _MAILTO.fullmatch(stripped)
        stripped = mailto[1] if mailto else stripped
        if stripped == bare:
            break
        bare = stripped
    return bare if "@" in bare else text


def clean_customer_id(raw: str | None) -> str | None:
    """Return a customer id as it was before a spreadsheet marked it as text; None if there is none."""
    text = visible(raw or "")
    marked = _SPREADSHEET_TEXT.fullmatch(text)
    text = visible(marked[1]) if marked else _APOSTROPHE.sub("", text, count=1) if text.startswith("'") else text
    return None if is_null_word(text) else text


def clean_mpid(raw: str | int | None) -> str | None:
    """Return the text of an mpid; None if there is none: to mParticle, 0 means that there is no user yet."""
    text = visible("" if raw is None else str(raw))
    return None if is_null_word(text) or text.lstrip("+-").strip("0") == "" else text
