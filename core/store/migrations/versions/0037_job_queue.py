"""On PostgreSQL, the queue of runs is procrastinate's: a job for each run that a worker may take up or has taken up.

Triggers of the table of runs make and delete the jobs, in the transaction that changes the run.

Of each Iterable project up to four jobs are executed at once: each job has one of the project's four locks, the one
with the fewest jobs. Runs of one list have the same lock. The more jobs a project has, the lower is the priority of a
new one, so that projects take turns. Jobs with one lock keep their order.
"""

from alembic import op
from procrastinate.schema import SchemaManager

from core.store import job_queue_schema

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

# A claim locks a job and then its run. A change of the run must not wait for the job then: it skips the job, and the
# claim deletes it.
_FUNCTIONS = """
CREATE FUNCTION iterable_sync_may_start(run runs) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT run.status IN ('queued', 'planning', 'running') AND run.worker IS NULL AND NOT run.live
        AND run.phase <> 'frozen'
$$;

CREATE FUNCTION iterable_sync_queue_run(run runs) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    project_key text;
    list_key text := run.connection_id || ' ' || run.list_id;
    lock_key text;
    jobs_of_project integer;
    lowest integer;
BEGIN
    SELECT coalesce(nullif(project, ''), 'connection ' || id) || ' ' INTO project_key
    FROM connections WHERE id = run.connection_id;
    SELECT lock INTO lock_key FROM procrastinate_jobs WHERE args ->> 'list' = list_key LIMIT 1;
    SELECT coalesce(lock_key, (array_agg(slot ORDER BY jobs, slot))[1]), sum(jobs) INTO lock_key, jobs_of_project
    FROM (
        SELECT project_key || number AS slot, count(id) AS jobs
        FROM generate_series(1, 4) number LEFT JOIN procrastinate_jobs ON lock = project_key || number
        GROUP BY number
    ) slots;
    SELECT min(priority) INTO lowest FROM procrastinate_jobs WHERE lock = lock_key AND status = 'todo';
    PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW(
        'runs', 'run', least(-jobs_of_project, lowest - 1), lock_key, NULL,
        jsonb_build_object('run_id', run.id, 'list', list_key), NULL
    )]::procrastinate_job_to_defer_v1[]);
END $$;

CREATE FUNCTION iterable_sync_drop_jobs(of_run text, only_waiting boolean) RETURNS void LANGUAGE sql AS $$
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs
        WHERE args ->> 'run_id' = of_run AND (status = 'todo' OR NOT only_waiting)
        FOR UPDATE SKIP LOCKED
    )
$$;

CREATE FUNCTION iterable_sync_run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF iterable_sync_may_start(NEW) THEN
        IF TG_OP = 'INSERT' OR NOT iterable_sync_may_start(OLD) THEN
            PERFORM iterable_sync_drop_jobs(NEW.id, false);
            PERFORM iterable_sync_queue_run(NEW);
        END IF;
    ELSIF NEW.status NOT IN ('queued', 'planning', 'running') THEN
        PERFORM iterable_sync_drop_jobs(NEW.id, false);
    ELSIF TG_OP = 'UPDATE' AND iterable_sync_may_start(OLD) THEN
        PERFORM iterable_sync_drop_jobs(NEW.id, true);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION iterable_sync_run_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM iterable_sync_drop_jobs(OLD.id, false);
    RETURN NULL;
END $$;
"""

_TRIGGERS = """
CREATE INDEX iterable_sync_jobs_of_runs ON procrastinate_jobs ((args ->> 'run_id'));
CREATE INDEX iterable_sync_jobs_of_lists ON procrastinate_jobs ((args ->> 'list'));
CREATE INDEX iterable_sync_jobs_of_locks ON procrastinate_jobs (lock);

CREATE TRIGGER iterable_sync_run_inserted AFTER INSERT ON runs
FOR EACH ROW WHEN (NOT NEW.live) EXECUTE FUNCTION iterable_sync_run_changed();

CREATE TRIGGER iterable_sync_run_updated AFTER UPDATE OF status, worker, phase ON runs FOR EACH ROW
WHEN (NOT NEW.live AND (NEW.status, NEW.worker, NEW.phase) IS DISTINCT FROM (OLD.status, OLD.worker, OLD.phase))
EXECUTE FUNCTION iterable_sync_run_changed();

CREATE TRIGGER iterable_sync_run_deleted AFTER DELETE ON runs
FOR EACH ROW WHEN (NOT OLD.live) EXECUTE FUNCTION iterable_sync_run_deleted();

SELECT iterable_sync_queue_run(runs) FROM runs WHERE iterable_sync_may_start(runs) ORDER BY created_at, id;
"""


def upgrade() -> None:
    """Create procrastinate's tables and the triggers, and queue the runs that wait."""
    db = op.get_bind()
    if db.dialect.name == "postgresql":
        for script in (SchemaManager.get_schema(), _FUNCTIONS, _TRIGGERS):
            db.exec_driver_sql(script.replace("%", "%%"))
        job_queue_schema.record(db, max(job_queue_schema.migrations()))
