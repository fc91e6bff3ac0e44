"""The messages of runs that wait for approval, for the provider of the messages of runs."""

from bot.features.approval.card import card
from bot.features.approval.together import card as card_of_several
from bot.features.approval.views import ask, changed, reminder

__all__ = ["ask", "card", "card_of_several", "changed", "reminder"]
