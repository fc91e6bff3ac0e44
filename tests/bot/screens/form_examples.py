"""Examples of forms, of the help, and of answers to commands that lack something."""

from bot.features.connect import modals as connect
from bot.features.connect.form import ConnectionForm
from bot.features.help.subcommands import SUBCOMMANDS
from bot.features.help.views import Line, help_message, unknown
from bot.features.mapping import views as mapping_views
from bot.features.mapping.form import MapMetadata
from bot.features.runs import views
from bot.features.runs.file_links import Attached
from bot.features.runs.form import StartMetadata
from bot.features.why.views import USAGE
from tests.bot.screens.values import AMIR, REF, SHOP, Screen


def forms() -> dict[str, Screen]:
    """Return the examples by name."""
    lines = [Line(each.usage, each.sentence, each.example) for each in SUBCOMMANDS.values()]
    return {
        "connect": connect.connect_form(ConnectionForm(approvers=(AMIR,))),
        "connect, more options": connect.connect_form(ConnectionForm(shows_options=True, approvers=(AMIR,))),
        "edit a connection": connect.edit_form(ConnectionForm.of(SHOP), "0000"),
        "replace a key": connect.key_form(SHOP),
        "map": mapping_views.map_form(MapMetadata(connection_id=1), [SHOP]),
        "map, more options": mapping_views.map_form(
            MapMetadata(connection_id=1, channel="C01MARKETING", shows_options=True), [SHOP]
        ),
        "start": views.start_form(StartMetadata(channel="C1"), REF, several=False, allowed_places=("/data",)),
        "start, more options": views.start_form(
            StartMetadata(channel="C1", shows_options=True), REF, several=False, allowed_places=()
        ),
        "start with the file of a message": views.start_form(
            StartMetadata(channel="C1", attached=(Attached(id="F1", name="shoppers.zip", size=450_000),)),
            REF,
            several=False,
            allowed_places=("/data",),
        ),
        "help": help_message(lines),
        "unknown subcommand": unknown("hlep", "help"),
        "why without a person": USAGE,
    }
