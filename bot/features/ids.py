"""The ids of all features: slash command, shortcuts, modals, buttons and inputs.

They are in one module because the cards of one feature have buttons of another. Their values must not change: posted
messages contain them.
"""

from enum import StrEnum
from typing import Final

COMMAND: Final = "/iterable-sync"


class ConnectCallback(StrEnum):
    """Modals."""

    CONNECT = "connect-form"
    EDIT = "connect-edit-form"
    KEY = "connect-key-form"
    MPARTICLE = "connect-mparticle-form"


class ConnectAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "connect-form-open"
    """[nothing]"""
    EDIT = "connect-form-edit"
    """[connection id]"""
    KEY = "connect-key-open"
    """[connection id]"""
    AGAIN = "connect-form-again"
    """[nothing: the modal has the state]"""
    KEY_AGAIN = "connect-key-again"
    """[connection id]"""
    OPTIONS = "connect-options-show"
    """[nothing: the modal has the state]"""
    MPARTICLE = "connect-mparticle-open"
    """[connection id]"""
    MPARTICLE_AGAIN = "connect-mparticle-again"
    """[nothing: the modal has the state]"""
    MPARTICLE_REMOVE = "connect-mparticle-remove"
    """[connection id]"""


class ConnectBlock(StrEnum):
    """Inputs."""

    NAME = "connect-name"
    KEY = "connect-key"
    DATA_CENTER = "connect-data-center"
    USER_ID = "connect-user-id"
    PROJECT_TYPE = "connect-project-type"
    RATE = "connect-rate"
    CHANNEL = "connect-channel"
    OPERATORS = "connect-operators"
    APPROVERS = "connect-approvers"
    SELF_APPROVAL = "connect-self-approval"
    MPARTICLE_ACCOUNT = "connect-mparticle-account"
    MPARTICLE_POD = "connect-mparticle-pod"
    MPARTICLE_CLIENT = "connect-mparticle-client"
    MPARTICLE_SECRET = "connect-mparticle-secret"  # noqa: S105
    MERGING = "connect-merging"
    OPERATOR_GROUPS = "connect-operator-groups"
    APPROVER_GROUPS = "connect-approver-groups"


class MappingCallback(StrEnum):
    """Modals."""

    MAP = "mapping-form"
    VARIANTS = "mapping-variants-form"
    REVIEW = "mapping-review-form"
    FIELDS = "mapping-fields-form"
    EDIT = "mapping-edit-form"
    DELETE = "mapping-delete-form"
    EXCLUSIONS = "mapping-exclusions-form"
    PEOPLE = "mapping-people-form"
    LIST = "mapping-list-form"


class MappingAction(StrEnum):
    """Buttons and menus, with their values in brackets."""

    OPEN = "mapping-form-open"
    """[connection id, or nothing]"""
    OPTIONS = "mapping-options-show"
    """[nothing: the modal has the state]"""
    CONNECTION = "mapping-connection-pick"
    LIST = "mapping-list-pick"
    AUDIENCE = "mapping-audience-pick"
    REVIEW = "mapping-review-open"
    """[mapping id]"""
    DECLINE = "mapping-decline"
    """[mapping id]"""
    PAUSE = "mapping-pause"
    """[mapping id]"""
    RESUME = "mapping-resume"
    """[mapping id]"""
    FIELDS = "mapping-fields-open"
    """[mapping id]"""
    EDIT = "mapping-edit-open"
    """[mapping id]"""
    ARCHIVE = "mapping-archive"
    """[mapping id]"""
    RESTORE = "mapping-restore"
    """[mapping id]"""
    DELETE = "mapping-delete-open"
    """[mapping id]"""
    EXCLUSIONS = "mapping-exclusions-open"
    """[mapping id]"""
    PEOPLE = "mapping-people-open"
    """[mapping id]"""
    CHANGE_LIST = "mapping-list-open"
    """[mapping id]"""


class MappingBlock(StrEnum):
    """Inputs."""

    CONNECTION = "mapping-connection"
    AUDIENCE = "mapping-audience"
    LISTED_AUDIENCE = "mapping-listed-audience"
    """Followed by the connection's id, so that Slack drops an audience of another connection."""
    FILE = "mapping-file"
    LIST = "mapping-list"
    """Followed by the connection's id, so that Slack drops a list of another connection."""
    VARIANT_LIST = "mapping-variant-list"
    """Followed by the number of the variant."""
    MODE = "mapping-mode"
    REMOVALS = "mapping-removals"
    MAX_ADDED = "mapping-max-added"
    MAX_ADDED_SHARE = "mapping-max-added-share"
    CHANNEL = "mapping-channel"
    COMMENT = "mapping-comment"
    FIELDS = "mapping-fields"
    FIELDS_TEXT = "mapping-fields-text"
    NAME = "mapping-name"
    MAX_REMOVED_SHARE = "mapping-max-removed-share"
    MEMBERS = "mapping-members"
    EXCLUDED_ADDRESSES = "mapping-excluded-addresses"
    EXCLUDED_DOMAINS = "mapping-excluded-domains"
    EXCLUDED_FILES = "mapping-excluded-files"
    EXCLUDED_MAPPINGS = "mapping-excluded-mappings"
    EXCLUDED_FORGET = "mapping-excluded-forget"
    OPERATORS = "mapping-operators"
    OPERATOR_GROUPS = "mapping-operator-groups"
    APPROVERS = "mapping-approvers"
    APPROVER_GROUPS = "mapping-approver-groups"

    def of(self, number: int) -> str:
        """Return the block id for a connection, or for one of several inputs."""
        return f"{self.value}-{number}"


class DriftAction(StrEnum):
    """Buttons, with their values in brackets."""

    REPAIR = "drift-repair"
    """[mapping id and kind of repair]"""
    ADD_MISSING = "drift-add-missing"
    """[mapping id and kind of repair]"""
    PEOPLE = "drift-people-send"
    """[mapping id]"""
    KEEP = "drift-keep"
    """[mapping id]"""


class FreezeCallback(StrEnum):
    """Modals."""

    FREEZE = "freezes-form"


class FreezeAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "freezes-form-open"
    """[mapping id, or nothing: all mappings]"""
    UNFREEZE = "freezes-end"
    """[mapping id, or nothing: all mappings]"""


class FreezeBlock(StrEnum):
    """Inputs."""

    UNTIL = "freezes-until"
    HOLDS = "freezes-holds"
    CAMPAIGNS = "freezes-campaigns"


class RunCallback(StrEnum):
    """Modals."""

    START = "runs-start-form"
    COLUMNS = "runs-columns-form"


class RunShortcut(StrEnum):
    """Shortcuts."""

    SYNC = "sync-to-iterable"


class RunAction(StrEnum):
    """Buttons and menus, with their values in brackets."""

    START = "runs-start-open"
    """[mapping id, or nothing]"""
    OPTIONS = "runs-options-show"
    """[nothing: the modal has the state]"""
    MAPPING = "runs-mapping-pick"
    CANCEL = "runs-cancel"
    """[run id]"""
    AGAIN = "runs-again"
    """[run id]"""
    SEND = "runs-preview-send"
    """[run id] Does what a preview has shown."""
    COLUMNS = "runs-columns-choose"
    """[run id]"""
    RETRY = "runs-retry"
    """[run id]"""
    RETRY_REJECTED = "runs-retry-rejected"
    """[run id]"""
    STOP_RETRYING = "runs-retry-stop"
    """[run id]"""
    SEE_WHY = "runs-rejected-why"
    """[run id]"""
    REJECTED = "runs-rejected-send"
    """[run id]"""


class RunBlock(StrEnum):
    """Inputs."""

    MAPPING = "runs-mapping"
    FILE = "runs-file"
    LINK = "runs-link"
    ADDRESS = "runs-address"
    ATTACHED = "runs-attached"
    COLUMNS = "runs-columns"
    MODE = "runs-mode"
    ADOPT = "runs-adopt"
    PREVIEW_ONLY = "runs-preview-only"
    CANDIDATES = "runs-candidates"
    """Followed by what the column is chosen for."""

    def of(self, key: str) -> str:
        """Return the block id of one of several inputs."""
        return f"{self.value}-{key}"


class ScheduleCallback(StrEnum):
    """Modals."""

    FORM = "schedules-form"


class ScheduleAction(StrEnum):
    """Buttons and menus, with their values in brackets."""

    OPEN = "schedules-form-open"
    """[mapping id]"""
    OPTIONS = "schedules-options-show"
    """[nothing: the modal has the state]"""
    WHEN = "schedules-when-pick"
    PAUSE = "schedules-pause"
    """[schedule id]"""
    RESUME = "schedules-resume"
    """[schedule id]"""
    REMOVE = "schedules-remove"
    """[schedule id]"""
    RUN_NOW = "schedules-run-now"
    """[schedule id]"""


class ScheduleBlock(StrEnum):
    """Inputs."""

    ADDRESS = "schedules-address"
    WHEN = "schedules-when"
    AT = "schedules-at"
    DAY = "schedules-day"
    CRON = "schedules-cron"
    AFTER = "schedules-after"
    TIME_ZONE = "schedules-time-zone"
    MISSED = "schedules-missed"
    QUIET_FROM = "schedules-quiet-from"
    QUIET_TO = "schedules-quiet-to"
    ARCHIVE = "schedules-archive"
    NAME = "schedules-name"


class ApprovalCallback(StrEnum):
    """Modals."""

    REVIEW = "approval-review-form"
    DECLINE = "approval-decline-form"
    REVIEW_TOGETHER = "approval-review-together-form"
    DECLINE_TOGETHER = "approval-decline-together-form"


class ApprovalAction(StrEnum):
    """Buttons, with their values in brackets."""

    REVIEW = "approval-review-open"
    """[run id and digest of the plan]"""
    DECLINE = "approval-decline-open"
    """[run id and digest of the plan]"""
    APPROVE = "approval-approve"
    """[run id and digest of the plan]"""
    DECLINE_HERE = "approval-decline"
    """[run id and digest of the plan] The button in the modal, which declines with the modal's comment."""
    DETAILS = "approval-details-open"
    """[run id]"""


class ApprovalBlock(StrEnum):
    """Inputs of the modals."""

    COMMENT = "approval-comment"


class LiveAudienceAction(StrEnum):
    """Buttons. Their value is the mapping id."""

    ACCEPT_OFFER = "audiences-offer-accept"
    DECLINE_OFFER = "audiences-offer-decline"
    DROP = "audiences-waiting-drop"
    REMOVALS = "audiences-removals-approve"
    KEEP = "audiences-members-keep"
    REMOVE = "audiences-members-remove"


class AlertAction(StrEnum):
    """Buttons, with their values in brackets."""

    TAKE = "alerts-take"
    """[alert id]"""
    MUTE = "alerts-mute"
    """[alert id]"""
    UNMUTE = "alerts-unmute"
    """[alert id]"""
    RULES = "alerts-rules-open"
    """[mapping id]"""


class AlertCallback(StrEnum):
    """Modals."""

    RULES = "alerts-rules"


class AlertBlock(StrEnum):
    """Inputs."""

    RULE = "alerts-rule"
    """One for each rule."""

    def of(self, rule: str) -> str:
        """Return the id of the input of a rule."""
        return f"{self.value}-{rule}"


class RouteCallback(StrEnum):
    """Modals."""

    LIST = "routes-list"
    ADD = "routes-add-form"


class RouteAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "routes-open"
    """[connection id]"""
    ADD = "routes-add-open"
    """[connection id]"""
    TEST = "routes-test"
    """[route id]"""
    REMOVE = "routes-remove"
    """[route id]"""


class RouteBlock(StrEnum):
    """Inputs."""

    NAME = "routes-name"
    CHANNEL = "routes-channel"
    PERSON = "routes-person"
    KEY = "routes-key"
    REGION = "routes-region"
    FALLBACK = "routes-fallback"


class TokenCallback(StrEnum):
    """Modals."""

    LIST = "tokens-list"
    CREATE = "tokens-create-form"


class TokenAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "tokens-open"
    """[nothing]"""
    ADD = "tokens-create-open"
    """[nothing]"""
    REVOKE = "tokens-revoke"
    """[token id]"""


class TokenBlock(StrEnum):
    """Inputs."""

    NAME = "tokens-name"
    SCOPES = "tokens-scopes"


class ReportCallback(StrEnum):
    """Modals."""

    SETTINGS = "reports-form"


class ReportAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "reports-form-open"
    """[connection id]"""
    SEND = "reports-send"
    """[connection id]"""


class ReportBlock(StrEnum):
    """Inputs."""

    WEEKDAY = "reports-weekday"
    DAILY = "reports-daily"
    AT = "reports-at"
    TIME_ZONE = "reports-time-zone"
    CHANNEL = "reports-channel"


class UndoCallback(StrEnum):
    """Modals."""

    UNDO = "undo-form"


class UndoAction(StrEnum):
    """Buttons, with their values in brackets."""

    OPEN = "undo-form-open"
    """[run id]"""


class HomeAction(StrEnum):
    """Buttons, menus and inputs, with their values in brackets."""

    REFRESH = "home-refresh"
    """[nothing]"""
    MORE = "home-more"
    """[the action id of a button, a colon, and the value of that button]"""
    SEARCH = "home-search"
    SHOW_ALL = "home-search-clear"
    """[nothing]"""
    PREVIOUS_PAGE = "home-page-previous"
    """[number of the page]"""
    NEXT_PAGE = "home-page-next"
    """[number of the page]"""
    HISTORY = "home-history-open"
    """[mapping id]"""


class HomeBlock(StrEnum):
    """Inputs."""

    SEARCH = "home-search"
    """Followed by the text that is searched for, so that Slack shows another text after *Show all*."""


def plan_value(run_id: str, plan_digest: str | None) -> str:
    """Return the value of a button that decides on a run: the run, and the plan that the person sees."""
    return f"{run_id}:{plan_digest or ''}"


def repair_value(mapping_id: int, repairs: str) -> str:
    """Return the value of a button that repairs a list: the mapping, and the kind of repair."""
    return f"{mapping_id}:{repairs}"


def read_repair_value(value: str) -> tuple[int, str]:
    """Return the mapping and the kind of repair in a button's value."""
    mapping_id, _, repairs = value.partition(":")
    return int(mapping_id), repairs


def read_plan_value(value: str) -> tuple[str, str | None]:
    """Return the run and the digest in a button's value. Buttons of earlier versions have no digest."""
    run_id, _, digest = value.partition(":")
    return run_id, digest or None
