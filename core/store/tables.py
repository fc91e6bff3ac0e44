"""The tables, as SQLAlchemy Core sees them. Changing one takes a migration beside it (`migrations/`).

Times are UTC seconds since 1970 (float): both databases store and compare them alike. JSON is stored as text.
"""

import time

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

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_uq",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)

# SQLite hands out row ids only to a column declared INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

#: An Iterable project, its API key, data center, User ID setting and rate.
connections = Table(
    "connections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # NULL: the key is in the environment (ITERABLE_API_KEY) and is not stored
    Column("api_key", LargeBinary),
    Column("key_last4", Text, nullable=False),
    # a digest of the first key: connections that share it share their pace
    Column("project", Text, nullable=False, key="rate_limit_key"),
    Column("data_center", Text, nullable=False),
    Column("user_id", Text, nullable=False, key="user_id_field"),
    # requests a second; 0 means no limit
    Column("rate", Float, nullable=False, key="requests_per_second"),
    # when Iterable refused the key (401, 403): all runs of the connection stop until a key works again
    Column("refused_at", Float, key="key_rejected_at"),
    Column("created_at", Float, nullable=False),
    # the Slack workspace that it belongs to; NULL: made on the command line
    Column("team_id", Text),
    # where Slack is told of failures
    Column("alert_channel", Text),
    # Slack user ids, as JSON arrays: who may start runs (nobody named: everybody), and who may approve them
    Column("operators", Text, nullable=False, server_default="[]"),
    Column("approvers", Text, nullable=False, server_default="[]"),
    # whether an approver may approve what they asked for themselves
    Column("self_approval", Boolean, nullable=False, server_default=false()),
    # the account in mParticle whose Firehose messages are for this connection
    Column("mparticle_account", Text, key="mparticle_account_id"),
    # a digest of the settings that came with those messages last; NULL: saved by a person, messages change nothing
    Column("mparticle_settings", Text, key="mparticle_settings_digest"),
    # digests of keys that it had before, as a JSON array: messages that still carry one are for it
    Column("former_keys", Text, nullable=False, server_default="[]", key="previous_key_digests"),
    # when its workspace removed the app: then its key was deleted, and its data is erased some time later
    Column("uninstalled_at", Float),
    # a name is unique in its workspace, and among those of no workspace
    Index(None, "team_id", "name", unique=True),
)
Index(
    "connections_name_ix",
    connections.c.name,
    unique=True,
    sqlite_where=connections.c.team_id.is_(None),
    postgresql_where=connections.c.team_id.is_(None),
)

#: Lists that have been synced to, one row each: what Iterable calls them, and who is working on them now.
lists = Table(
    "lists",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("list_id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    # Iterable's createdAt in ms: together with the name it tells a list from another with the same id
    Column("list_created_at", BigInteger),
    # counts the changes of the list's ledger: a plan made at another revision is stale
    Column("revision", BigInteger, nullable=False, default=0, key="ledger_revision"),
    Column("held_by_run", Text, key="locked_by_run_id"),
    Column("held_by_worker", Text, key="locked_by_worker_id"),
)

#: Audience to list.
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
    # core.store.mappings.State: proposed, active, paused, declined
    Column("state", Text, nullable=False, server_default="active", key="status"),
    # what to do with those who leave: remove, ask (each time), keep
    Column("removals", Text, nullable=False, server_default="remove", key="removal_policy"),
    # the Slack channel where its runs are shown
    Column("channel", Text),
    Column("proposed_by", Text),
    Column("decided_by", Text),
    Column("decided_at", Float),
    Column("comment", Text),
    # fed by mParticle's Firehose: by messages of that account, about that audience, with that list in their settings
    # (as it stands there; "" where there is none). The list that was approved is `list_id`; 0 is none yet.
    Column("live", Boolean, nullable=False, server_default=false(), key="is_live"),
    Column("account_id", Text, key="mparticle_account_id"),
    Column("live_list", Text, key="firehose_list_setting"),
    # when mParticle disconnected the audience and nobody has said since what becomes of the list's members
    Column("disconnected_at", Float),
    # where removals ask: live removals that came up to this time are approved
    Column("removals_until", Float, key="removals_approved_until"),
    # up to which profile the members of a disconnected audience have been marked to be taken off, in the order of the
    # ledger's key ("": none yet); NULL: that is not to be done, or was done
    Column("emptied_to", Text, key="bulk_removal_cursor"),
    # past how many additions, and past which share of the list's members, a run waits for approval; NULL: the default
    Column("max_added", BigInteger),
    Column("max_added_share", Float),
    # mParticle offers to feed a mapping that files feed: "proposed", or "declined"; NULL: it does not, or that is so
    Column("live_offer", Text),
    Index(None, "connection_id", "list_id"),
    Index(None, "mparticle_account_id", "audience_id", "firehose_list_setting", unique=True),
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
    # the run that has to end first: while the phase is "waiting", or where this run failed because of it
    Column("waiting_for_run_id", Text),
    Column("mode", Text, nullable=False),
    Column("user_id", Text, nullable=False, key="user_id_field"),
    Column("rate", Float, nullable=False),
    Column("audience", Text),
    # what was asked for and what planning found (core.models.run: Request, Plan), as JSON
    Column("request", Text, nullable=False),
    Column("plan", Text),
    # the ledger's revision that the changes were planned at
    Column("revision", BigInteger, key="ledger_revision"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("worker", Text, key="worker_id"),
    # set by whoever wants the run to stop (core.models.run.StopReason)
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
    # why it was cancelled, where that was not asked for (core.models.run.CancelReason)
    Column("cancel_reason", Text),
    # who asked for it in Slack, and the channel where it is shown; NULL: started on the command line
    Column("started_by", Text),
    Column("channel", Text),
    # who approved or declined it, when, and in which words
    Column("decided_by", Text),
    Column("decided_at", Float),
    Column("comment", Text),
    # the run whose changes this one takes back
    Column("undo_of", Text),
    # how many people Iterable said were on the list afterwards
    Column("list_size", BigInteger),
    # seconds since its start in which nobody was at work on it: it waited for approval, or to be resumed
    Column("waited_s", Float, nullable=False, server_default="0", key="approval_wait_s"),
    # carries changes of the inbox, and has not been added to the run that holds the sum of its day
    Column("live", Boolean, nullable=False, server_default=false(), key="is_live"),
    # digests of the plan as it stands, of the one that a person approved, and of the one that a terminal printed last
    Column("plan_digest", Text),
    Column("approved_digest", Text),
    Column("shown_digest", Text),
    # the plan that was shown before and was discarded, as JSON
    Column("discarded_plan", Text),
    # SHA-256 of the source's bytes, and of when it is: its newest time stamp, else when these bytes were read first
    Column("source_digest", Text),
    Column("source_at", Float),
    Index(None, "is_live"),
    Index(None, "connection_id", "list_id", "created_at"),
    Index(None, "status"),
)

#: The changes of a run in batches of up to 1,000: what one request carries, and how far it is.
batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("phase", Integer, nullable=False),
    # members that are sent, and those of them that count when they are accepted
    Column("size", Integer, nullable=False, key="sent_size"),
    Column("counted", Integer, nullable=False, key="counted_size"),
    # draft -> planned -> sent (the intent: perhaps done) -> done; or void, when a run is planned anew
    Column("state", Text, nullable=False, key="status"),
    # the process that had claimed it and was declared dead, and until when a late request of it may arrive
    Column("doubted_of", Text),
    Column("doubted_until", Float),
    Index(None, "run_id", "phase", "status"),
)
Index(
    "batches_doubted_until_ix",
    batches.c.doubted_until,
    sqlite_where=batches.c.doubted_until.is_not(None),
    postgresql_where=batches.c.doubted_until.is_not(None),
)

#: The members of each batch, as JSON (core.models.batch describes it). Apart from `batches`, because SQLite rewrites a
#: whole row to change one column.
batch_members = Table(
    "changes",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("members", Text, nullable=False),
)

#: Who has been synced to a mapping's list, and under which identity.
ledger = Table(
    "ledger",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", Text, primary_key=True, key="member_key"),
    Column("email", Text),
    Column("user_id", Text),
    # false: a request was sent and its answer never seen, so perhaps on the list and perhaps not
    Column("certain", Boolean, nullable=False, key="is_confirmed"),
    sqlite_with_rowid=False,
)

#: Under which address members were on the list that are off it again, of those who have a user id: Iterable still knows
#: who that user id is, and a leaver may come again with nothing else.
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
    # NULL: Iterable counted a failure but did not say whose
    Column("profile", Text, key="member_key"),
    Column("email", Text),
    Column("customer_id", Text),
    Column("reason", Text, nullable=False),
    # Iterable's own, without personal data
    Column("words", Text),
    Index(None, "run_id"),
)

#: The pace of an Iterable project, shared by all runs and processes.
rate_limits = Table(
    "pace",
    metadata,
    Column("project", Text, primary_key=True, key="rate_limit_key"),
    # when the next request may leave
    Column("next_at", Float, nullable=False),
    # how much slower than the set rate, after 429s: 1 is full speed
    Column("slowdown", Float, nullable=False, default=1.0),
    # when the last 429 was seen
    Column("throttled_at", Float),
)

#: Processes that execute runs. One that has not been heard of is dead, and its runs are taken over.
workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("lock_path", Text, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
)

#: Messages in Slack that follow the state of something: where each is, and what it showed last.
slack_messages = Table(
    "posts",
    metadata,
    # what it is about, as kind and id: "run:abc"
    Column("key", Text, primary_key=True),
    Column("team_id", Text),
    # where it is to be: a channel's or a person's id; and the conversation in which it is
    Column("target", Text, nullable=False),
    Column("channel", Text),
    Column("ts", Text),
    # what kind of content it shows, and a digest of that content
    Column("stage", Text, nullable=False, default="", key="kind"),
    Column("digest", Text, nullable=False, default=""),
    # new -> sending (the intent: perhaps posted) -> posted; or lost (sent, no answer), refused (Slack won't take it)
    Column("state", Text, nullable=False, key="status"),
    Column("tries", Integer, nullable=False, server_default="0", key="attempts"),
    Column("next_at", Float, nullable=False, server_default="0", key="retry_at"),
    # written for people who look into the database
    Column("updated_at", Float, nullable=False, default=time.time, onupdate=time.time),
    Column("error", Text),
)

#: What went wrong and has not recovered: one open alert for a mapping, or for a connection.
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
    Index(None, "connection_id", "mapping_id"),
)

#: Everything that people did: who, what, when, before, after. Never an address or a key.
audit_log = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Float, nullable=False),
    Column("team_id", Text),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    # what it was done to, as kind and id: "run:abc"
    Column("subject", Text, nullable=False),
    # JSON
    Column("before", Text),
    Column("after", Text),
    Index(None, "subject"),
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
    # identities that are there only as hashes: 1 the email, 2 the customer id
    Column("hashed", Integer, nullable=False, key="hashed_fields"),
    # when it came; NULL: it is on record with a run, and only its time stamp is kept, for what may overtake it
    Column("waiting_since", Float, key="pending_since"),
    # the run that carries it
    Column("run_id", Text),
    Index(None, "mapping_id", "pending_since", "event_ms"),
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)

#: Firehose messages that have been taken, so that one that comes again counts once.
processed_messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Index(None, "at"),
    sqlite_with_rowid=False,
)

#: What a live mapping did in a day (UTC, as 2026-01-31).
live_daily_stats = Table(
    "live_days",
    metadata,
    Column("mapping_id", Id, ForeignKey("mappings.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Text, primary_key=True),
    # changes that came, and attribute updates, which are not for us
    Column("changes", BigInteger, nullable=False, server_default="0"),
    Column("ignored", BigInteger, nullable=False, server_default="0"),
    # when Iterable took some of them last
    Column("last_accepted_at", Float),
    # the run that holds the sum of the day's runs, with their rejections
    Column("run_id", Text),
    sqlite_with_rowid=False,
)

#: People who asked to be forgotten: salted digests of their identities, until mParticle sends them again.
erased_identities = Table(
    "erased",
    metadata,
    # the account in mParticle that sent the request; "": one from before that was recorded, which counts for all
    Column("account_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("stamp", BigInteger, nullable=False, key="erased_before_ms"),
    sqlite_with_rowid=False,
)

#: Members that Iterable refuses for good: salted digests of each with the identity under which it was refused.
suppressions = Table(
    "barred",
    metadata,
    Column("connection_id", Id, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    sqlite_with_rowid=False,
)

#: Erasures that are under way.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    # encrypted, as JSON
    Column("identities", LargeBinary, nullable=False),
    # as in `erased`; NULL stands for ""
    Column("account_id", Text),
    Column("at", Float, nullable=False),
    # what has been deleted so far, as JSON
    Column("counts", Text, nullable=False, server_default="{}"),
)

#: Random values that this installation made for itself, encrypted.
salts = Table(
    "salts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
