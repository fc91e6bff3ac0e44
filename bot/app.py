"""The Bolt app: the features registered, errors caught in one place."""

from slack_bolt.async_app import AsyncApp

from bot.features.alerts import handlers as alerts
from bot.features.approval import handlers as approval
from bot.features.connect import handlers as connect
from bot.features.help import handlers as help_
from bot.features.home import handlers as home
from bot.features.live_audiences import handlers as audiences
from bot.features.mapping import handlers as mapping
from bot.features.runs import handlers as runs
from bot.features.undo import handlers as undo
from bot.messages import recovery
from bot.services import Services
from bot.slack import error_handler

FEATURES = (help_, connect, mapping, runs, approval, audiences, alerts, undo, home)


def register(app: AsyncApp, services: Services) -> AsyncApp:
    """Add everything that this bot does to an app."""
    error_handler.register(app)
    recovery.register(app, services)
    for feature in FEATURES:
        feature.register(app, services)
    return app
