"""The tables, for SQLAlchemy Core. A change needs a migration (`migrations/`).

Times are UTC seconds since 1970 (float), which both databases store and compare alike: by the database's clock
(`core.store.clock`). JSON is stored as text.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

from core.store.clock import AT_START

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_uq",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)

#: The `info` of a column whose values are encrypted with the secret key: `reencryption` encrypts them again.
ENCRYPTED = {"encrypted": True}

# SQLite assigns row ids only to a column declared INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

#: An Iterable project, its API key, data center, User ID setting and rate.
connections = Table(
    "connections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # NULL: the key is in the environment (ITERABLE_API_KEY) and is not stored
    Column("api_key", LargeBinary, info=ENCRYPTED),
    Column("key_last4", Text, nullable=False),
    # a digest of the first key: connections with the same digest share a rate limit
    Column("project", Text, nullable=False, key="rate_limit_key"),
    Column("data_center", Text, nullable=False),
    Column("user_id", Text, nullable=False, key="user_id_field"),
    # requests a second; 0 means no limit
    Column("rate", Float, nullable=False, key="requests_per_second"),
    # when Iterable rejected the key (401, 403): all runs of the connection stop until a key works again
    Column("refused_at", Float, key="key_rejected_at"),
    Column("created_at", Float, nullable=False),
    # the Slack workspace that owns it; NULL: created on the command line
    Column("team_id", Text),
    # the Slack channel for alerts
    Column("alert_channel", Text),
    # Slack user ids, as JSON arrays: who may start runs (empty: everyone), and who may approve them
    Column("operators", Text, nullable=False, server_default="[]"),
    Column("approvers", Text, nullable=False, server_default="[]"),
    # whether an approver may approve their own requests
    Column("self_approval", Boolean, nullable=False, server_default=false()),
    # the account in mParticle whose Firehose messages are for this connection
    Column("mparticle_account", Text, key="mparticle_account_id"),
    # a digest of the settings in the last of those messages; NULL: a person saved the connection, messages don't change
    # it
    Column("mparticle_settings", Text, key="mparticle_settings_digest"),
    # digests of its previous keys, as a JSON array: messages that still carry one belong to it
    Column("former_keys", Text, nullable=False, server_default="[]", key="previous_key_digests"),
    # when its workspace removed the app: its key was deleted then, and its data is erased after the retention period
    Column("uninstalled_at", Float),
    # the type of its Iterable project (core.identity.ProjectType); NULL: not known
    Column("project_type", Text),
    # when its campaigns are to be read again
    Column("campaigns_due_at", Float, nullable=False, server_default="0"),
    # whether a placeholder's profile is merged into the profile that has the person's address already
    Column("merge_profiles", Boolean, nullable=False, server_default=false(), key="merges_profiles"),
    # what the configuration file set last, as JSON (core/configuration/record.py); NULL: no file manages it
    Column("managed", Text),
    # a name is unique in its workspace, and among the connections without one
    Index(None, "team_id", "name", unique=True),
)
# Where team_id is null. (Only the migrations describe what makes an index partial: an option of one dialect would load
# that dialect in every process, and PostgreSQL's takes a tenth of the start of a command.)
Index("connections_name_ix", connections.c.name, unique=True)

#: Access to mParticle's platform API, of a connection whose mappings are of audiences in that account.
mparticle_accounts = Table(
    "mparticle_accounts",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    # core.mparticle.Pod
    Column("pod", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    # encrypted
    Column("client_secret", LargeBinary, nullable=False, info=ENCRYPTED),
    Column("created_at", Float, nullable=False),
    # when mParticle refused the credentials; NULL: they worked last
    Column("refused_at", Float),
)

#: Lists that have been synced to: the name in Iterable, and the holder of the lock.
lists = Table(
    "lists",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("list_id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    # Iterable's createdAt in ms: with the name, it distinguishes a list from another with the same id
    Column("list_created_at", BigInteger),
    # incremented by changes of the list's ledger: a plan made at another revision is stale
    Column("revision", BigInteger, nullable=False, default=0, key="ledger_revision"),
    Column("held_by_run", Text, key="locked_by_run_id"),
    Column("held_by_worker", Text, key="locked_by_worker_id"),
)
# where held_by_worker is not null
Index("lists_held_by_worker_ix", lists.c.locked_by_worker_id)

#: Mappings of audiences to lists.
mappings = Table(
    "mappings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("list_id", BigInteger, nullable=False),
    Column("audience_id", Text),
    Column("audience_name", Text),
    Column("mode", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    # core.store.mappings.MappingStatus
    Column("state", Text, nullable=False, server_default="active", key="status"),
    # what to do with members who leave: remove, ask (each time), keep
    Column("removals", Text, nullable=False, server_default="remove", key="removal_policy"),
    # the Slack channel that shows its runs
    Column("channel", Text),
    Column("proposed_by", Text),
    Column("decided_by", Text),
    Column("decided_at", Float),
    Column("comment", Text),
    # whether mParticle's Firehose feeds it: messages of that account, about that audience, with that list in their
    # settings (as entered there; "" if there is none). The approved list is `list_id`; 0: none yet.
    Column("live", Boolean, nullable=False, server_default=false(), key="is_live"),
    Column("account_id", Text, key="mparticle_account_id"),
    Column("live_list", Text, key="firehose_list_setting"),
    # when mParticle disconnected the audience, until a person decides what becomes of the list's members
    Column("disconnected_at", Float),
    # if the removal policy is ask: live removals received up to this time are approved
    Column("removals_until", Float, key="removals_approved_until"),
    # the cursor of a bulk removal: the last ledger key whose removal is in the inbox ("": none yet); NULL: no bulk
    # removal is in progress
    Column("emptied_to", Text, key="bulk_removal_cursor"),
    # the number and the share of additions above which a run needs approval; NULL: the default
    Column("max_added", BigInteger),
    Column("max_added_share", Float),
    # the share of removals above which a run needs approval; NULL: the default
    Column("max_removed_share", Float),
    # what people call it; NULL: the name of the audience
    Column("name", Text),
    # when it is deleted, because everyone was taken off its list; NULL: it stays
    Column("delete_at", Float),
    # the type of Iterable project for which it was synced last; NULL: it was never synced
    Column("project_type", Text),
    # its data fields, as JSON: names in Iterable by names in the source; "{}": none
    Column("fields", Text, nullable=False, server_default="{}"),
    # the data fields before a change that is not approved yet; NULL: no change waits
    Column("fields_before", Text),
    # who is kept off the list, as JSON (core.models.exclusions)
    Column("exclusions", Text, nullable=False, server_default="[]"),
    # the mode, removal policy and exclusions before a change that is not approved yet, as JSON; NULL: no change waits
    Column("change_before", Text),
    # its own operators and approvers, as JSON: ids of people and user groups in Slack; "[]": those of its connection
    Column("operators", Text, nullable=False, server_default="[]"),
    Column("approvers", Text, nullable=False, server_default="[]"),
    # the mapping whose place it takes once it is approved, because it goes to another list; NULL: none
    Column("replaces", BigInteger),
    # mParticle's offer to feed a mapping that files feed (core.store.mappings.LiveOffer); NULL: none, or accepted
    Column("live_offer", Text),
    # how long before a campaign goes to the list the mapping is frozen, in seconds (NULL: it is not), and which changes
    # wait then (core.store.freezes.FreezeHolds)
    Column("freeze_before_s", Float),
    Column("freeze_holds", Text, nullable=False, server_default="both"),
    # as in connections: what the configuration file set last
    Column("managed", Text),
    Index(None, "connection_id", "list_id"),
    Index(None, "mparticle_account_id", "audience_id", "firehose_list_setting", unique=True),
)
# where live
Index("mappings_live_ix", mappings.c.id)

#: Freezes by hand: until then, changes of this kind wait.
freezes = Table(
    "freezes",
    metadata,
    Column("id", Id, primary_key=True),
    # NULL: all mappings of the workspace `team_id` or, if that is NULL as well, all mappings
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE")),
    Column("team_id", Text),
    # core.store.freezes.FreezeHolds
    Column("holds", Text, nullable=False),
    Column("until", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index(None, "mapping_id"),
)

#: The scheduled and running campaigns that go to a list, or leave its people out (a suppression list).
list_campaigns = Table(
    "list_campaigns",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("list_id", BigInteger, primary_key=True),
    Column("campaign_id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("is_suppression", Boolean, nullable=False),
    # Scheduled or Running
    Column("state", Text, nullable=False),
    # NULL: Iterable did not say
    Column("start_at", Float),
)

#: Comparisons of lists in Iterable with the ledger: the next one, and what the last one found.
list_checks = Table(
    "list_checks",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("list_id", BigInteger, primary_key=True),
    Column("due_at", Float, nullable=False),
    Column("checked_at", Float),
    # when the list matched the ledger last
    Column("matched_at", Float),
    # how many people are on the list by the ledger, by Iterable, and in the audience by mParticle
    Column("ours", BigInteger),
    Column("in_iterable", BigInteger),
    Column("in_mparticle", BigInteger),
    # ours who are not on the list, and people on it who are not ours; of how many people, if a sample was looked up
    Column("missing", BigInteger),
    Column("extra", BigInteger),
    Column("sampled", Integer, nullable=False, server_default="0"),
    # people on the list who are known not to be ours
    Column("others", BigInteger, nullable=False, server_default="0"),
    Index(None, "due_at"),
)

#: One sync of one mapping.
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), nullable=False),
    Column("connection_id", Id, nullable=False),
    Column("list_id", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    # core.models.run.RunPhase
    Column("phase", Text, nullable=False, default=""),
    # the run that has to end first, while the phase is "waiting" or if this run failed because of it
    Column("waiting_for_run_id", Text),
    Column("mode", Text, nullable=False),
    Column("user_id", Text, nullable=False, key="user_id_field"),
    # the type of Iterable project for which it was planned; NULL: email-based, before the type was found out
    Column("project_type", Text),
    Column("rate", Float, nullable=False),
    Column("audience", Text),
    # the request and the plan (core.models.run: RunRequest, RunPlan), as JSON
    Column("request", Text, nullable=False),
    Column("plan", Text),
    # the ledger revision of the plan
    Column("revision", BigInteger, key="ledger_revision"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("worker", Text, key="worker_id"),
    # a request to stop the run (core.models.run.StopReason)
    Column("stop", Text, key="stop_requested"),
    Column("members", BigInteger, nullable=False, default=0),
    Column("left", BigInteger, nullable=False, default=0),
    Column("added", BigInteger, nullable=False, default=0),
    Column("updated", BigInteger, nullable=False, default=0),
    Column("removed", BigInteger, nullable=False, default=0),
    Column("unchanged", BigInteger, nullable=False, default=0),
    Column("duplicates", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("requests", BigInteger, nullable=False, default=0),
    Column("retries", BigInteger, nullable=False, default=0),
    Column("throttled", BigInteger, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("error", Text),
    Column("error_code", Text),
    # why it was cancelled, if no person cancelled it (core.models.run.CancelReason)
    Column("cancel_reason", Text),
    # who started it in Slack, and the channel that shows it; NULL: started on the command line
    Column("started_by", Text),
    Column("channel", Text),
    # who approved or declined it, when, and with which comment
    Column("decided_by", Text),
    Column("decided_at", Float),
    Column("comment", Text),
    # the run that this one undoes
    Column("undo_of", Text),
    # the list size that Iterable reported afterwards
    Column("list_size", BigInteger),
    # seconds since its start in which it waited for approval, or to be resumed
    Column("waited_s", Float, nullable=False, server_default="0", key="approval_wait_s"),
    # a micro batch of inbox changes that is not merged into its daily run
    Column("live", Boolean, nullable=False, server_default=false(), key="is_live"),
    # digests of the current plan, of the one that a person approved, and of the one that a terminal printed last
    Column("plan_digest", Text),
    Column("approved_digest", Text),
    Column("shown_digest", Text),
    # the plan that was shown before and was discarded, as JSON
    Column("discarded_plan", Text),
    # the columns between which a person has to choose, as JSON: names by what they would be chosen for
    Column("column_candidates", Text),
    # SHA-256 of the source's bytes, and its time: the newest time stamp, or else when these bytes were first read
    Column("source_digest", Text),
    Column("source_at", Float),
    # placeholder profiles that were merged into other profiles
    Column("merged", BigInteger, nullable=False, server_default="0"),
    # its changes and rejections were deleted, or it had none
    Column("purged", Boolean, nullable=False, server_default=false(), key="is_purged"),
    # when a failed run is retried without a person (NULL: never), and how often that has happened
    Column("retry_at", Float),
    Column("auto_retries", Integer, nullable=False, server_default="0"),
    # it has ended, and the run log does not have that yet
    Column("log_due", Boolean, nullable=False, server_default=false(), key="is_log_due"),
    Index(None, "is_live"),
    Index(None, "connection_id", "list_id", "created_at"),
    Index(None, "status"),
    Index(None, "created_at"),
    Index(None, "mapping_id", "created_at"),
)
# where purged is false
Index("runs_finished_at_ix", runs.c.finished_at)
# where retry_at is not null
Index("runs_retry_at_ix", runs.c.retry_at)
# where log_due
Index("runs_log_due_ix", runs.c.is_log_due)
# where phase = 'frozen'
Index("runs_frozen_ix", runs.c.mapping_id)
# where undo_of is not null
Index("runs_undo_of_ix", runs.c.undo_of)

#: What the runs counted that were deleted, by the name of the number.
deleted_runs = Table(
    "deleted_runs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

#: The changes of a run in batches of up to 1,000, as one request carries them, with the status of each.
batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("phase", Integer, nullable=False),
    # members that are sent, and those that count once accepted
    Column("size", Integer, nullable=False, key="sent_size"),
    Column("counted", Integer, nullable=False, key="counted_size"),
    # draft -> planned -> sent (the intent to send) -> done; or void, when a run is planned again
    Column("state", Text, nullable=False, key="status"),
    # the process that had claimed it and was declared dead, and until when a late request of it may arrive
    Column("doubted_of", Text),
    Column("doubted_until", Float),
    # when its outcome was recorded; NULL: it has none, or an earlier version recorded it
    Column("done_at", Float),
    Index(None, "run_id", "phase", "status"),
)
# where doubted_until is not null
Index("batches_doubted_until_ix", batches.c.doubted_until)
# where state is sent
Index("batches_sent_ix", batches.c.run_id)

#: The members of each batch, as JSON (core.models.batch describes it). Separate from `batches`, because SQLite rewrites
#: a whole row to change one column.
batch_members = Table(
    "changes",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("members", Text, nullable=False),
)

#: The data fields of the members of batches that are not done, encrypted (core/store/field_values.py).
field_values = Table(
    "change_fields",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False, info=ENCRYPTED),
)

#: The members that have been synced to a mapping's list, each with its identity.
ledger = Table(
    "ledger",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", Text, primary_key=True, key="member_key"),
    Column("email", Text),
    Column("user_id", Text),
    # false: a request was sent without an answer, so the member may or may not be on the list
    Column("certain", Boolean, nullable=False, key="is_confirmed"),
    # a keyed digest of the data fields that were sent last; NULL: none were
    Column("fields", Text, key="fields_digest"),
    sqlite_with_rowid=False,
)

#: The last emails of former members that have a user id: Iterable still knows that user id, and a leaver may carry
#: nothing else.
last_known_emails = Table(
    "last_known",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", Text, primary_key=True, key="member_key"),
    Column("email", Text, nullable=False),
    Column("at", Float, nullable=False, key="seen_at"),
    Index(None, "seen_at"),
    sqlite_with_rowid=False,
)

#: Members that could not be synced in a run, with their reason.
rejections = Table(
    "rejections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    # NULL: Iterable counted a failure without naming the member
    Column("profile", Text, key="member_key"),
    Column("email", Text),
    Column("customer_id", Text),
    Column("reason", Text, nullable=False),
    # Iterable's own, without personal data
    Column("words", Text),
    Index(None, "run_id"),
)

#: The rate limit of an Iterable project, shared by all runs and processes.
rate_limits = Table(
    "pace",
    metadata,
    Column("project", Text, primary_key=True, key="rate_limit_key"),
    # when each permit was used last, as JSON (core.store.permits)
    Column("used_at", Text),
    # the end of the pause after the last 429
    Column("next_at", Float, nullable=False, key="resumes_at"),
    # the slowdown at the last 429: 1 is full speed
    Column("slowdown", Float, nullable=False, default=1.0),
    # the time of the last 429
    Column("throttled_at", Float),
)

#: Processes that execute runs. One whose heartbeat stopped is dead, and its runs are taken over.
workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("lock_path", Text, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
)

#: Messages in Slack that follow a state: the place and the last content of each.
slack_messages = Table(
    "posts",
    metadata,
    # the subject, as kind and id: "run:abc"
    Column("key", Text, primary_key=True),
    Column("team_id", Text),
    # the channel or person to post to; and the conversation in which it was posted
    Column("target", Text, nullable=False),
    Column("channel", Text),
    Column("ts", Text),
    # the kind of its content, and a digest of that content
    Column("stage", Text, nullable=False, default="", key="kind"),
    Column("digest", Text, nullable=False, default=""),
    # new -> sending (the intent to post) -> posted; or lost (sent, no answer), refused (Slack rejected it)
    Column("state", Text, nullable=False, key="status"),
    Column("tries", Integer, nullable=False, server_default="0", key="attempts"),
    Column("next_at", Float, nullable=False, server_default="0", key="retry_at"),
    # for people who read the database
    Column("updated_at", Float, nullable=False, default=AT_START, onupdate=AT_START),
    Column("error", Text),
)

#: Failures that have not recovered: at most one open alert of a kind for a mapping, or for a connection.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE")),
    Column("run_id", Text),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("repeats", Integer, nullable=False, server_default="0", key="occurrences"),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),
    # why it was closed (core.store.alerts.AlertOutcome)
    Column("outcome", Text),
    Column("taken_by", Text, key="acknowledged_by"),
    Column("muted_until", Float, key="snoozed_until"),
    # when it may be shown: its mapping had another message less than an hour before
    Column("show_at", Float, nullable=False, server_default="0"),
    Index(None, "connection_id", "mapping_id"),
)

#: The audit log: who did what, when, with the values before and after. No address and no key.
audit_log = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Float, nullable=False),
    Column("team_id", Text),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    # the object of the action, as kind and id: "run:abc"
    Column("subject", Text, nullable=False),
    # JSON
    Column("before", Text),
    Column("after", Text),
    Index(None, "subject"),
)

#: Tokens of the HTTP API. A secret can't be derived from its digest.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # the workspace whose data it sees; NULL: all
    Column("team_id", Text),
    Column("digest", Text, nullable=False, unique=True),
    Column("last4", Text, nullable=False),
    # JSON
    Column("scopes", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
    Column("revoked_at", Float),
)

#: Keys with which programs mark requests to the HTTP API, so that a repeated one starts no second run.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("token_id", Id, ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    # SHA-256 of what was requested
    Column("digest", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("at", Float, nullable=False),
)

#: Work that only one process does at a time.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("worker", Text, nullable=False),
)

#: Membership changes from mParticle's Firehose: the latest of each member, by mParticle's time stamp.
inbox = Table(
    "inbox",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", Text, primary_key=True, key="member_key"),
    Column("member", Boolean, nullable=False, key="is_member"),
    Column("stamp", BigInteger, nullable=False, key="event_ms"),
    Column("email", Text),
    Column("customer_id", Text),
    # bits of the identities that are present only as hashes: 1 the email, 2 the customer id
    Column("hashed", Integer, nullable=False, key="hashed_fields"),
    # the attributes in the message that are data fields of the mapping, encrypted; NULL: none
    Column("fields", Text, key="sealed_fields", info=ENCRYPTED),
    # when it was received; NULL: delivered, and only its time stamp is kept, against older changes that arrive later
    Column("waiting_since", Float, key="pending_since"),
    # the run that has claimed it
    Column("run_id", Text),
    Index(None, "mapping_id", "pending_since", "event_ms"),
    sqlite_with_rowid=False,
)
# where run_id is not null
Index("inbox_run_id_ix", inbox.c.run_id)

#: Processed Firehose messages, so that a repeated message counts once.
processed_messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Index(None, "at"),
    sqlite_with_rowid=False,
)

#: Daily statistics of a live mapping (UTC, as 2026-01-31).
live_daily_stats = Table(
    "live_days",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Text, primary_key=True),
    # changes received, and changes ignored (attribute updates, declined mappings)
    Column("changes", BigInteger, nullable=False, server_default="0"),
    Column("ignored", BigInteger, nullable=False, server_default="0"),
    # when a change was received last, and the longest time without one that ended on the day (s); NULL: not recorded
    Column("last_received_at", Float),
    Column("longest_silence_s", Float),
    # when Iterable last accepted a change
    Column("last_accepted_at", Float),
    # the daily run, which holds the totals and rejections of the day, and the size of the list
    Column("run_id", Text),
    # when that size was read
    Column("size_read_at", Float),
    sqlite_with_rowid=False,
)

#: Erased people: salted digests of their identities, until mParticle sends them again.
erased_identities = Table(
    "erased",
    metadata,
    # the mParticle account that sent the request; "": not recorded, applies to all accounts
    Column("account_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("stamp", BigInteger, nullable=False, key="erased_before_ms"),
    sqlite_with_rowid=False,
)

#: Members that Iterable rejects permanently: salted digests of each with its rejected identity.
suppressions = Table(
    "barred",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    sqlite_with_rowid=False,
)

#: Erasures in progress.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    # encrypted, as JSON
    Column("identities", LargeBinary, nullable=False, info=ENCRYPTED),
    # as in `erased`; NULL means ""
    Column("account_id", Text),
    Column("at", Float, nullable=False),
    # what has been deleted so far, as JSON
    Column("counts", Text, nullable=False, server_default="{}"),
)

#: Random values of this installation, encrypted.
salts = Table(
    "salts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False, info=ENCRYPTED),
)

#: When mappings are synced without a person: a cron expression, a new file, or another mapping that succeeded.
schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    # core.store.schedules.Trigger: cron, new_file, after
    Column("trigger", Text, nullable=False),
    Column("cron", Text),
    # an IANA name, such as Europe/Berlin: the clock of `cron` and of the quiet hours
    Column("time_zone", Text, nullable=False),
    Column("after_mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE")),
    # what to do about times at which no process ran (core.store.schedules.Missed): once, skip
    Column("missed", Text, nullable=False, server_default="once"),
    # between these times of day (HH:MM) it starts nothing; NULL: there are no quiet hours
    Column("quiet_from", Text),
    Column("quiet_to", Text),
    # NULL: it waits for an event, or is paused
    Column("next_due_at", Float),
    Column("last_fired_at", Float),
    Column("paused", Boolean, nullable=False, server_default=false(), key="is_paused"),
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    # as in connections: what the configuration file set last
    Column("managed", Text),
    Index(None, "connection_id", "name", unique=True),
    Index(None, "mapping_id"),
    Index(None, "after_mapping_id"),
    Index(None, "next_due_at"),
)

#: Where the files of a mapping come from.
file_sources = Table(
    "sources",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    # a folder, a prefix, a pattern or one file; without what is secret in it, which `sealed` has, encrypted
    Column("address", Text, nullable=False),
    Column("sealed", Text, info=ENCRYPTED),
    # how its files are read (core.models.run.RunRequest: columns, sheet), as JSON
    Column("columns", Text, nullable=False, server_default="{}"),
    Column("sheet", Text),
    # the folder to which synced files are moved; NULL: they stay
    Column("archive", Text),
    # which of the files that are there at the first look are synced (core.store.file_sources.Existing)
    Column("existing", Text, nullable=False, server_default="newest"),
    # who chose the address, and in which workspace: that decides which places may be read
    Column("set_by", Text, nullable=False),
    Column("team_id", Text),
    # when its place is listed next (NULL: when a schedule or a person asks for it), and for which actor
    Column("look_at", Float),
    Column("look_by", Text),
    # when it was listed last; NULL: never
    Column("looked_at", Float),
    # how often in a row it could not be listed, and the code of the alert about it
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error_code", Text),
    Index(None, "look_at"),
)

#: The files that were seen in a mapping's source.
source_files = Table(
    "source_files",
    metadata,
    Column("id", Id, primary_key=True),
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), nullable=False),
    Column("address", Text, nullable=False),
    # what changes with the content: the size in bytes, and a time stamp or a tag of the server
    Column("size", BigInteger, nullable=False),
    Column("tag", Text, nullable=False),
    # the order of files: the time in the name, or else of the last change (UTC seconds)
    Column("at", Float, nullable=False),
    # when it was seen first, and since when it has not changed
    Column("seen_at", Float, nullable=False),
    Column("unchanged_since", Float, nullable=False),
    # core.store.file_sources.FileStatus
    Column("status", Text, nullable=False),
    # SHA-256 of its bytes, once it is complete
    Column("digest", Text),
    Column("run_id", Text),
    Index(None, "mapping_id", "address", unique=True),
)

#: Where notifications go: webhooks, PagerDuty, e-mail, Slack.
routes = Table(
    "routes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # core.store.routes.RouteKind
    Column("kind", Text, nullable=False),
    # the workspace and the connection whose events it gets; NULL: all
    Column("team_id", Text),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE")),
    # the events that it gets, as a JSON array: "alert.opened", "run.*"
    Column("events", Text, nullable=False),
    # it gets only alerts that Slack has not shown
    Column("fallback", Boolean, nullable=False, server_default=false(), key="is_fallback"),
    # what people see of its address: a host, or the id of a channel
    Column("target", Text, nullable=False),
    # its address and secrets, encrypted (core/notifications/route_secrets.py); NULL: it has none
    Column("sealed", LargeBinary, info=ENCRYPTED),
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    # as in connections: what the configuration file set last
    Column("managed", Text),
    Index(None, "name", unique=True),
    Index(None, "connection_id"),
)

#: Events on their way to a route, and those that have arrived.
deliveries = Table(
    "deliveries",
    metadata,
    # the order of events
    Column("number", Id, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("route_id", Id, ForeignKey("routes.id", ondelete="CASCADE"), nullable=False),
    # the event (core.models.events.Event), as JSON, and its type
    Column("event_type", Text, nullable=False),
    Column("event", Text, nullable=False),
    # core.store.deliveries.DeliveryStatus
    Column("status", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    # when it is sent next (NULL: not again), and when it is given up
    Column("next_at", Float),
    Column("expires_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # the HTTP or SMTP status of the last attempt (NULL: no answer), and why it failed
    Column("status_code", Integer),
    Column("error", Text),
    Column("delivered_at", Float),
    # what it is about, as kind and id: events of one subject are sent in order. And the alert that it is about
    Column("subject", Text, nullable=False),
    Column("alert_id", Id),
    # a person asked for it to be sent again
    Column("replayed", Boolean, nullable=False, server_default=false(), key="is_replayed"),
    Index(None, "next_at"),
    Index(None, "route_id", "subject"),
    Index(None, "alert_id"),
    Index(None, "created_at"),
)

#: Where ended runs are written as Parquet files: one row, or none if that is off.
run_log = Table(
    "run_log",
    metadata,
    Column("id", Integer, primary_key=True),
    # a folder or a prefix, without what is secret in it
    Column("address", Text, nullable=False),
    # the full address, and the salt of hashed identifiers or null, as JSON
    Column("sealed", LargeBinary, nullable=False, info=ENCRYPTED),
    # core.store.run_log.Identifiers: raw, hashed, none
    Column("identifiers", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Float, nullable=False),
    # when a process writes next: now, after a failure, or when the process that writes has died
    Column("next_at", Float, nullable=False),
    # when it was written last; NULL: never
    Column("written_at", Float),
    # how often in a row the place failed, since when, and the sentence about it
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", Float),
    Column("error", Text),
)

#: Alert rules that differ from the default, for a connection or (with `mapping_id`) for a mapping.
alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE")),
    # core.store.alert_rules.Rule
    Column("rule", Text, nullable=False),
    Column("is_on", Boolean, nullable=False),
    # in the unit of the rule; NULL: by what is usual
    Column("threshold", Float),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
    Index(None, "connection_id", "mapping_id"),
    Index(None, "mapping_id"),
)

#: When connections get reports (core/automation/reports.py). A connection without a row gets none.
report_settings = Table(
    "report_settings",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    # an IANA name, and a time of day (HH:MM) in it; the weekday is 0 for Monday
    Column("time_zone", Text, nullable=False),
    Column("weekly", Boolean, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("daily", Boolean, nullable=False),
    Column("at", Text, nullable=False),
    # where Slack shows them; NULL: in the alert channel
    Column("channel", Text),
    # when each is due; NULL if it is off
    Column("next_weekly_at", Float),
    Column("next_daily_at", Float),
)

#: Reports that were made (core.models.reports.Report), as JSON, and where Slack shows them.
reports = Table(
    "reports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("channel", Text),
    Column("content", Text, nullable=False),
    Index(None, "connection_id"),
    Index(None, "made_at"),
)
