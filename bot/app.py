"""The Bolt app: the features registered, errors caught in one place."""

from slack_bolt.async_app import AsyncApp

from bot import errors
from bot.alerts import handlers as alerts
from bot.approval import handlers as approval
from bot.audiences import handlers as audiences
from bot.connect import handlers as connect
from bot.help import handlers as help_
from bot.home import handlers as home
from bot.live import adopt
from bot.mapping import handlers as mapping
from bot.runs import handlers as runs
from bot.services import Services
from bot.undo import handlers as undo
from bot.why import handlers as why

FEATURES = (help_, connect, mapping, runs, approval, audiences, alerts, why, undo, home)


def register(app: AsyncApp, services: Services) -> AsyncApp:
    """Add everything that this bot does to an app."""
    errors.register(app)
    adopt.register(app, services)
    for feature in FEATURES:
        feature.register(app, services)
    return app
