"""Alert rules in words: their alerts, and their names and units in forms and lists."""

from dataclasses import dataclass

from core.store.alert_rules import Rule


@dataclass(frozen=True, slots=True)
class RuleWords:
    """The texts of a rule's alert (mrkdwn): its heading, the all-clear, and what to do."""

    heading: str
    recovered: str
    advice: str


#: The texts of the alerts of rules. Backlogs and drift have messages of their own.
RULE_WORDS = {
    Rule.REJECTED_SHARE: RuleWords(
        "Many people were rejected",
        "As few people are rejected as before",
        "open the sync, and press *See why*.",
    ),
    Rule.NEW_REASON: RuleWords(
        "Rejected for a new reason",
        "The reason has not come up again",
        "open the sync, and press *See why*. Often an export was changed.",
    ),
    Rule.DEVIATION: RuleWords(
        "Unusual numbers",
        "The numbers are as usual",
        "check whether the audience was changed in mParticle. If not, undo the sync.",
    ),
    Rule.RUN_TIME: RuleWords(
        "Slow sync",
        "The sync took as long as usual",
        "check whether Iterable slows requests down, or another program uses the rate of the project.",
    ),
    Rule.OVERDUE: RuleWords(
        "Overdue",
        "Synced again",
        "check whether the export still runs, whether a sync waits for approval, and whether a process is running.",
    ),
}

#: The name of each rule, and the unit of its threshold.
RULE_NAMES = {
    Rule.REJECTED_SHARE: ("Rejected people", "percent"),
    Rule.NEW_REASON: ("New reason for rejections", "people"),
    Rule.DEVIATION: ("Unusual additions, removals or size", "percent"),
    Rule.RUN_TIME: ("Slow sync", "minutes"),
    Rule.OVERDUE: ("No successful sync", "hours"),
    Rule.BACKLOG: ("Live changes wait", "minutes"),
    Rule.DRIFT: ("The list differs", "people"),
}
