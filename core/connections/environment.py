"""The connection whose API key is in the environment."""

from core.engine import Engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.store import connections
from core.store.connections import DEFAULT_RATE, Connection, project_of


async def environment_connection(
    engine: Engine, *, user_id: UserIdField | None, data_center: DataCenter, rate: float | None
) -> Connection:
    """Return the data center's connection that uses ITERABLE_API_KEY, with these settings. Creates it if it is missing.

    `rate` is in requests per second (None: the default). Raises SettingsError if the key is not set.
    """
    name = f"environment-{data_center}"
    async with engine.database.write() as db:
        connection = await connections.by_name(db, name, None)
        if connection is None:
            await connections.add(
                db,
                name=name,
                api_key=None,
                key_last4="",
                rate_limit_key="",
                data_center=data_center,
                user_id_field=user_id or UserIdField.CUSTOMER_ID,
                requests_per_second=DEFAULT_RATE,
            )
            connection = await connections.by_name(db, name, None)
        assert connection is not None
        key = engine.api_key(connection)
        if connection.rate_limit_key not in ("", project_of(key)):  # perhaps of another project
            await connections.change(db, connection.id, project_type=None)
        await connections.change(
            db,
            connection.id,
            key_last4=key[-4:],
            rate_limit_key=project_of(key),
            user_id_field=(user_id or UserIdField.CUSTOMER_ID),
            requests_per_second=DEFAULT_RATE if rate is None else rate,
        )
        connection = await connections.by_id(db, connection.id)
    assert connection is not None
    return connection
