"""Kinds of alerts: what an alert is about, by its code."""

from enum import StrEnum
from typing import Self

from core.store.alert_rules import Rule


class AlertKind(StrEnum):
    """What an alert is about. An open alert hides no other kind. Its code says more."""

    FAILURE = "failure"
    """A run, a look at a source or a delivery has failed; the code is that of the error."""
    RUN_RULE = "run_rule"
    """The last run was unusual; the code is that of the rule."""
    OVERDUE = Rule.OVERDUE.value
    """No sync has succeeded for longer than usual."""
    BACKLOG = Rule.BACKLOG.value
    """Live changes wait for too long."""
    DRIFT = Rule.DRIFT.value
    """A list differs from what was synced."""
    SILENCE = "silence"
    """mParticle sends nothing for a live audience that was busy."""
    LATE_FILE = "late_file"
    """No new file has come for longer than usual."""
    RUN_LOG = "run_log"
    """Ended runs can't be written to the run log."""

    @classmethod
    def of(cls, code: str) -> Self:
        """Return the kind of the alerts with a code."""
        if code in RUN_RULES:
            return cls.RUN_RULE
        return cls(code) if code in OF_ONE_CODE else cls.FAILURE

    @property
    def codes(self) -> frozenset[str] | None:
        """The codes of this kind; None for FAILURE: every code that no other kind has."""
        if self is AlertKind.FAILURE:
            return None
        return RUN_RULES if self is AlertKind.RUN_RULE else frozenset({self.value})


RUN_RULES = frozenset({Rule.REJECTED_SHARE.value, Rule.NEW_REASON.value, Rule.DEVIATION.value, Rule.RUN_TIME.value})
OF_ONE_CODE = frozenset(kind.value for kind in AlertKind) - {AlertKind.FAILURE.value, AlertKind.RUN_RULE.value}
