"""The small pieces of SQL that the readers share. Each takes and gives an expression."""

# What str.strip() strips, as the inside of a character class.
_SPACE = r"\t-\r\x1c-\x20\x85\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"


def literal(text: str) -> str:
    """Text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a column."""
    return '"' + name.replace('"', '""') + '"'


def blank_as_null(text: str) -> str:
    """A value, or NULL where it is only white space. What begins with a visible ASCII character is told at once."""
    return (
        f"CASE WHEN {text} BETWEEN '!' AND '~' THEN {text} "
        f"WHEN NOT regexp_full_match({text}, '[{_SPACE}]*') THEN {text} END"
    )


def stripped(text: str) -> str:
    """A value without the white space around it."""
    return f"regexp_replace({text}, '^[{_SPACE}]+|[{_SPACE}]+$', '', 'g')"


def milliseconds(stamp: str) -> str:
    """An integer time stamp in milliseconds: mParticle writes both, and what is below 1e11 is seconds."""
    return f"CASE WHEN {stamp} BETWEEN -99999999999 AND 99999999999 THEN {stamp} * 1000 ELSE {stamp} END"


def milliseconds_of_text(text: str) -> str:
    """A time stamp in milliseconds of a number or a date with time; without a time zone it is UTC."""
    number = milliseconds(f"TRY_CAST({text} AS BIGINT)")
    moment = f"coalesce(TRY_CAST({text} || '+00' AS TIMESTAMPTZ), TRY_CAST({text} AS TIMESTAMPTZ))"
    return f"coalesce({number}, epoch_ms({moment}))"


def boolean(text: str) -> str:
    """A truth value as exports spell it, or NULL."""
    plain = f"lower(trim({text}))"
    return (
        f"CASE WHEN {plain} IN ('true', 't', '1', 'yes', 'y') THEN true "
        f"WHEN {plain} IN ('false', 'f', '0', 'no', 'n') THEN false END"
    )
