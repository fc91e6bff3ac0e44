"""SQL expressions that the readers share. Each function takes an expression and returns one."""

# What str.strip() strips, as the inside of a character class.
_SPACE = r"\t-\r\x1c-\x20\x85\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"

#: A time stamp below this is in seconds, others are in milliseconds: mParticle writes both.
SECONDS_BELOW = 10**11


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return the name of a column as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def blank_as_null(text: str) -> str:
    """Return a value, or NULL if it is only white space. The first condition is cheap, and true for most values."""
    return (
        f"CASE WHEN {text} BETWEEN '!' AND '~' THEN {text} "
        f"WHEN NOT regexp_full_match({text}, '[{_SPACE}]*') THEN {text} END"
    )


def stripped(text: str) -> str:
    """Return a value without the white space around it."""
    return f"regexp_replace({text}, '^[{_SPACE}]+|[{_SPACE}]+$', '', 'g')"


def milliseconds(stamp: str) -> str:
    """Return an integer time stamp in milliseconds. mParticle writes seconds, too."""
    last = SECONDS_BELOW - 1
    return f"CASE WHEN {stamp} BETWEEN {-last} AND {last} THEN {stamp} * 1000 ELSE {stamp} END"


def milliseconds_of_text(text: str) -> str:
    """Return the time stamp of a number, or of a date with time, in milliseconds. The default time zone is UTC."""
    number = milliseconds(f"TRY_CAST({text} AS BIGINT)")
    moment = f"coalesce(TRY_CAST({text} || '+00' AS TIMESTAMPTZ), TRY_CAST({text} AS TIMESTAMPTZ))"
    return f"coalesce({number}, epoch_ms({moment}))"


def boolean(text: str) -> str:
    """Return the truth value of a text, in the spellings that exports use, or NULL."""
    plain = f"lower(trim({text}))"
    return (
        f"CASE WHEN {plain} IN ('true', 't', '1', 'yes', 'y') THEN true "
        f"WHEN {plain} IN ('false', 'f', '0', 'no', 'n') THEN false END"
    )
