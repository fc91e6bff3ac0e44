"""The table of subcommands of `/iterable-sync`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from bot.features.connect import commands as connect
from bot.features.freezes import commands as freezes
from bot.features.help.views import Line, help_message
from bot.features.mapping import commands as mapping
from bot.features.mapping_management import commands as mapping_management
from bot.features.runs import commands as runs
from bot.features.schedules import commands as schedules
from bot.features.slash_command import SlashCommand, SubcommandHandler
from bot.features.status import commands as status
from bot.features.undo import handlers as undo
from bot.features.why import commands as why
from bot.slack.reply import reply_privately


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A subcommand. `usage` and `example` are the words after `/iterable-sync`."""

    usage: str
    sentence: str
    example: str
    run: SubcommandHandler


async def help_(call: SlashCommand) -> None:
    """Show the subcommands privately."""
    lines = [Line(each.usage, each.sentence, each.example) for each in SUBCOMMANDS.values()]
    await reply_privately(call.client, call.actor, help_message(lines))


SUBCOMMANDS: Mapping[str, Subcommand] = {
    "": Subcommand("", "Start a sync.", "", runs.start),
    "connect": Subcommand("connect", "Connect an Iterable project (admins only).", "connect", connect.connect),
    "map": Subcommand("map", "Map an audience to a list. Needs approval.", "map", mapping.map_),
    "run": Subcommand("run <mapping>", "Start a sync of a mapping.", "run Spring Shoppers", runs.run),
    "schedule": Subcommand(
        "schedule <mapping>",
        "Sync a mapping at set times, or when a new file arrives.",
        "schedule Spring Shoppers",
        schedules.schedule,
    ),
    "schedules": Subcommand(
        "schedules [mapping]",
        "Show schedules: sync now, pause, resume or remove them.",
        "schedules",
        schedules.schedules,
    ),
    "sync-all": Subcommand(
        "sync-all [folder]",
        "Sync new files of all mappings, or the audiences of a folder.",
        "sync-all",
        schedules.sync_all,
    ),
    "status": Subcommand("status", "Show running syncs, approvals, and each mapping.", "status", status.status),
    "history": Subcommand(
        "history [mapping]",
        "Show the latest 10 syncs, of one mapping or of all.",
        "history Spring Shoppers",
        status.history,
    ),
    "cancel": Subcommand("cancel [run]", "Cancel a sync.", "cancel", runs.cancel),
    "why": Subcommand(
        "why <email or id>",
        "Explain why someone is or isn't on a list. Only you see the answer.",
        "why ada@example.com",
        why.why,
    ),
    "undo": Subcommand("undo <run>", "Undo a sync, after a preview and approval.", "undo k3v9m2x7qa", undo.undo),
    "pause": Subcommand("pause <mapping>", "Pause a mapping.", "pause Spring Shoppers", mapping.pause),
    "resume": Subcommand("resume <mapping>", "Resume a paused mapping.", "resume Spring Shoppers", mapping.resume),
    "edit": Subcommand(
        "edit <mapping>",
        "Change the name, channel and limits of a mapping. Archive or delete it.",
        "edit Spring Shoppers",
        mapping_management.edit,
    ),
    "restore": Subcommand(
        "restore [mapping]",
        "Restore an archived mapping. Its next sync needs approval.",
        "restore Spring Shoppers",
        mapping_management.restore,
    ),
    "freeze": Subcommand(
        "freeze <mapping, or all> until <when>",
        "Hold changes back until a time in your time zone. Then syncs continue.",
        "freeze all until monday",
        freezes.freeze,
    ),
    "unfreeze": Subcommand(
        "unfreeze <mapping, or all>",
        "End a freeze. Changes that waited are sent.",
        "unfreeze Spring Shoppers",
        freezes.unfreeze,
    ),
    "fields": Subcommand(
        "fields <mapping>",
        "Choose which columns are sent to Iterable as data fields. Needs approval.",
        "fields Spring Shoppers",
        mapping.fields,
    ),
    "help": Subcommand("help", "Show this help.", "help", help_),
}


def parse(text: str) -> tuple[str, str]:
    """Split the text after the command into the subcommand (lower case) and its argument (without quotes)."""
    name, argument = (*text.split(maxsplit=1), "", "")[:2]
    return name.casefold(), _unquoted(argument.strip())


def closest_match(name: str) -> str | None:
    """Return the subcommand that is most similar to a word, or None."""
    close = difflib.get_close_matches(name, [each for each in SUBCOMMANDS if each], n=1, cutoff=0.5)
    return close[0] if close else None


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] in "\"'“”‘’" and text[-1] in "\"'“”‘’":
        return text[1:-1].strip()
    return text
