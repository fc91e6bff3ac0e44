"""Puts the features together: their listeners on the Bolt app, and the providers of their messages."""

from slack_bolt.async_app import AsyncApp

from bot.features.alerts import handlers as alerts
from bot.features.alerts.messages import AlertMessageProvider
from bot.features.approval import handlers as approval
from bot.features.approval import messages as approval_messages
from bot.features.connect import handlers as connect
from bot.features.connect.messages import ApproversMessageProvider
from bot.features.drift import handlers as drift
from bot.features.freezes import handlers as freezes
from bot.features.help import handlers as help_
from bot.features.home import handlers as home
from bot.features.live_audiences import handlers as live_audiences
from bot.features.live_audiences.messages import LiveAudienceMessageProvider
from bot.features.live_audiences.offers import LiveOfferMessageProvider
from bot.features.mapping import handlers as mapping
from bot.features.mapping.messages import ProposalMessageProvider
from bot.features.mapping_management import handlers as mapping_management
from bot.features.reports import handlers as reports
from bot.features.reports.messages import ReportMessageProvider
from bot.features.routes import handlers as routes
from bot.features.runs import handlers as runs
from bot.features.runs.messages import RunMessageProvider
from bot.features.schedules import handlers as schedules
from bot.features.tokens import handlers as tokens
from bot.features.undo import handlers as undo
from bot.features.uninstall import handlers as uninstall
from bot.messages import recovery
from bot.messages.limits import MessagingLimits
from bot.messages.provider import MessageProvider
from bot.services import Services
from bot.slack import error_handler
from bot.slack.access_gate import AccessGate

FEATURES = (
    help_,
    connect,
    mapping,
    mapping_management,
    runs,
    approval,
    live_audiences,
    alerts,
    reports,
    routes,
    tokens,
    undo,
    freezes,
    drift,
    schedules,
    home,
    uninstall,
)


def register_listeners(app: AsyncApp, services: Services) -> AsyncApp:
    """Register the listeners of all features, and the error handler. Returns the app."""
    error_handler.register(app)
    home_workspace = services.home if services.one_workspace else None
    AccessGate(home_workspace, services.people, services.is_named, services.replies).register(app)
    recovery.register(app, services)
    for feature in FEATURES:
        feature.register(app, services)
    return app


def message_providers(services: Services, limits: MessagingLimits) -> list[MessageProvider]:
    """Return the providers of all messages that the bot keeps up to date."""
    return [
        RunMessageProvider(services, approval_messages),
        AlertMessageProvider(services),
        ProposalMessageProvider(limits),
        LiveAudienceMessageProvider(limits),
        LiveOfferMessageProvider(),
        ApproversMessageProvider(),
        ReportMessageProvider(),
    ]
