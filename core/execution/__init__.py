"""Executing a run: plan it, then make its changes, with the list held, and every ending on record."""

from core.execution.holding import give_back_late
from core.execution.running import apply, execute, is_worked_on, plan

__all__ = ["apply", "execute", "give_back_late", "is_worked_on", "plan"]
