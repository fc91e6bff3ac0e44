"""The file `.env` with settings: whether it can be read."""

from pathlib import Path

from core.errors import SettingsError


def check_encoding(path: Path) -> None:
    """Raise SettingsError if a file of settings exists and is not in UTF-8: its lines would be ignored."""
    try:
        content = path.read_bytes()
    except OSError:  # no file, or an unreadable one: a setting that is missing is reported when it is needed
        return
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        fault = "is in UTF-16, as PowerShell and Notepad write it"
    else:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            fault = f"is not in UTF-8 (line {line}); it may be in Latin-1 or Windows-1252"
        else:
            return
    raise SettingsError(f"{path.absolute()} {fault}. Save it in UTF-8.") from None
