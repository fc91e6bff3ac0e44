"""The type of an Iterable project: found by asking, kept with the connection, corrected by a person.

Iterable documents that `GET /api/users/forgotten` answers with an error in userID-based projects, and
`GET /api/users/forgottenUserIds` in email-based ones, and that its EU data center has no email-based projects. That the
two calls together tell the type is our inference. So if Iterable answers otherwise, the type is unknown: in the US the
project counts as email-based, as most are, until it is known; in the EU a person has to choose.
"""

import asyncio
from contextlib import aclosing
from http import HTTPStatus

from core.connections.lists import ANSWER_WITHIN_S
from core.engine import Engine
from core.errors import ProjectTypeUnknownError, ValidationError
from core.identity import ProjectType
from core.iterable import (
    DataCenter,
    InvalidApiKeyError,
    IterableClient,
    RequestRejectedError,
    UnexpectedResponseError,
    UnreachableError,
)
from core.iterable.retry import INTERACTIVE_RETRY
from core.store import connections
from core.store.connections import Connection
from core.store.database import to_the_end


def check_project_type(project_type: ProjectType | None, data_center: DataCenter) -> None:
    """Raise ValidationError if there is no such project in the data center."""
    if project_type is ProjectType.EMAIL and data_center is DataCenter.EU:
        raise ValidationError("Iterable's EU data center has no email-based projects. Choose userId or hybrid.")


async def learn_project_type(engine: Engine, connection_id: int) -> None:
    """Find out the type of a connection's project and store it, unless it is known.

    Connections that were not saved by a person (the one of ITERABLE_API_KEY, those of mParticle's messages), and those
    of earlier versions, learn it here. Raises an IterableError if Iterable can't be asked, and ProjectTypeUnknownError
    if its EU data center does not tell.
    """
    async with engine.database.read() as db:
        connection = await connections.by_id(db, connection_id)
    if connection is None or connection.project_type is not None:
        return
    try:
        async with engine.client(connection) as client:
            project_type = await detect(client, connection.data_center)
    except InvalidApiKeyError:
        await to_the_end(_note_refusal(engine, connection))
        raise
    if project_type is not None:
        await to_the_end(_store(engine, connection, project_type))
    elif connection.data_center is DataCenter.EU:
        raise ProjectTypeUnknownError(unknown_type(connection))


def unknown_type(connection: Connection) -> str:
    """Return what follows from a type that is not known, and what to do, in sentences."""
    correct = f"choose the project type of {connection.label} in its settings."
    if connection.data_center is DataCenter.EU:
        return (
            "Iterable does not say which type this project has, and its EU data center has no email-based projects. "
            f"To sync, {correct} It is userID-based or hybrid."
        )
    return (
        f"Iterable does not say which type this project has, so it counts as email-based. If that is wrong, {correct}"
    )


async def _note_refusal(engine: Engine, connection: Connection) -> None:
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _store(engine: Engine, connection: Connection, project_type: ProjectType) -> None:
    async with engine.database.write() as db:
        await connections.set_project_type(db, connection, project_type)


async def fetch_project_type(engine: Engine, connection: Connection) -> ProjectType | None:
    """Ask Iterable for the type of a connection's project. Returns None if its answers do not tell.

    Raises an IterableError if the key does not work, or if Iterable does not answer within seconds.
    """
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            engine.client(connection, retry_policy=INTERACTIVE_RETRY) as client,
        ):
            return await detect(client, connection.data_center)
    except TimeoutError as error:
        raise UnreachableError(
            f"Iterable did not answer within {ANSWER_WITHIN_S:.0f} seconds. Try again in a moment."
        ) from error


async def detect(client: IterableClient, data_center: DataCenter) -> ProjectType | None:
    """Ask the client's project for its type."""
    by_email = await _answers(client, ProjectType.EMAIL)
    by_user_id = await _answers(client, ProjectType.USER_ID)
    project_type = _TYPES.get((by_email, by_user_id))
    # a data center without email-based projects can't answer so, so nothing is known
    return None if project_type is ProjectType.EMAIL and data_center is DataCenter.EU else project_type


#: The type, by whether Iterable tells who is forgotten by email, and by user id. (Otherwise it is unknown.)
_TYPES: dict[tuple[bool | None, bool | None], ProjectType] = {
    (True, True): ProjectType.HYBRID,
    (False, True): ProjectType.USER_ID,
    (True, False): ProjectType.EMAIL,
}


async def _answers(client: IterableClient, by: ProjectType) -> bool | None:
    """Return whether Iterable tells who is forgotten; None if its answer is none of those that it documents.

    A key may have fewer permissions than a sync needs, so 403 does not mean that the key is refused.
    """
    hashes = client.forgotten_emails() if by is ProjectType.EMAIL else client.forgotten_user_ids()
    try:
        async with aclosing(hashes):
            async for _ in hashes:  # the first ones are enough: there may be millions
                break
    except RequestRejectedError:
        return False
    except UnexpectedResponseError:
        return None
    except InvalidApiKeyError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None
    return True
