"""Cleaning of identities from files and messages. Pure, no I/O.

Every identity of every format is cleaned before it is compared or sent: white space, invisible characters and the
characters that mail programs add around an address are removed. A word that means "no value" is no identity.
"""

import re

#: Words that mean "no value", in lower case: databases write `NULL` and `\\N`, programs `nan`, `None` and `undefined`,
#: people `N/A` and a hyphen.
NULL_WORDS = ("null", "\\n", "n/a", "na", "nan", "none", "undefined", "(null)", "-")

# Unicode's categories Z and Cf except the plain space (a test compares with `unicodedata`): no-break and zero-width
# spaces, the byte order mark, the soft hyphen, direction marks.
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
# In a spreadsheet, an apostrophe in front of a formula or a number makes the cell text.
_APOSTROPHE = re.compile(r"'(?=[=+@\-0-9])")

#: How a spreadsheet rewrites a long number, or a value that it can't show. The pattern means the same in RE2 and
#: Python.
REWRITTEN_ID_PATTERN = r"-?[0-9]([.,][0-9]+)?[eE]\+[0-9]{2,3}|##+|#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)"


def visible(text: str) -> str:
    """Return a text without invisible characters and surrounding white space."""
    return INVISIBLE.sub("", text).strip()


def is_null_word(text: str) -> bool:
    """Return whether a cleaned text is empty or a word that means "no value"."""
    return not text or text.lower() in NULL_WORDS


def clean_email(raw: str | None) -> str | None:
    """Return the bare address in its original spelling, or None if there is none.

    Removes a display name, `mailto:`, angle brackets, quotation marks, and a trailing comma, semicolon or period. A
    text that still is no address is returned unchanged; the identity rule rejects it later.
    """
    text = visible(raw or "")
    if is_null_word(text):
        return None
    bare = text
    for _ in range(5):  # wrappers can be nested: "<mailto:ann@example.com>,"
        named = _NAMED_ADDRESS.fullmatch(bare)
        stripped = (named[1] if named else bare).strip(_AROUND).rstrip(".")
        mailto = _MAILTO.fullmatch(stripped)
        stripped = mailto[1] if mailto else stripped
        if stripped == bare:
            break
        bare = stripped
    return bare if "@" in bare else text


def clean_customer_id(raw: str | None) -> str | None:
    """Return a customer id without a spreadsheet's marks of text (`="1"`, `'1`), or None if there is none."""
    text = visible(raw or "")
    marked = _SPREADSHEET_TEXT.fullmatch(text)
    text = visible(marked[1]) if marked else _APOSTROPHE.sub("", text, count=1) if text.startswith("'") else text
    return None if is_null_word(text) else text


def clean_mpid(raw: str | int | None) -> str | None:
    """Return the text of an mpid, or None if there is none. In mParticle, 0 means that there is no user yet."""
    text = visible("" if raw is None else str(raw))
    return None if is_null_word(text) or text.lstrip("+-").strip("0") == "" else text
