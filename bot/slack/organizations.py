"""Which workspaces use the installation of their organization (Enterprise Grid).

An organization installs the app once, and one token works in all workspaces to which its admins add the app. Slack
names workspace and organization in each request, and the bot remembers the pair: it posts to a workspace long after a
request.
"""

from sqlalchemy import Column, MetaData, String, Table, delete, insert, select

from core.store.database import Database


class OrganizationWorkspaces:
    """The workspaces that use the installation of an organization."""

    def __init__(self, client_id: str, database: Database, metadata: MetaData) -> None:
        """Add the table to `metadata`, with which it is created. No I/O."""
        self._client_id = client_id
        self._database = database
        self._table = Table(
            "slack_organization_workspaces",
            metadata,
            Column("client_id", String(32), primary_key=True),
            Column("team_id", String(32), primary_key=True),
            Column("enterprise_id", String(32), nullable=False),
        )
        self._known: set[tuple[str, str]] = set()

    async def remember(self, team_id: str, enterprise_id: str) -> None:
        """Store that a workspace uses the installation of an organization."""
        if (team_id, enterprise_id) in self._known:
            return
        async with self._database.write() as db:
            columns = self._table.c
            await db.execute(
                delete(self._table).where(columns.client_id == self._client_id, columns.team_id == team_id)
            )
            values = {"client_id": self._client_id, "team_id": team_id, "enterprise_id": enterprise_id}
            await db.execute(insert(self._table).values(values))
        self._known.add((team_id, enterprise_id))

    async def organization_of(self, team_id: str) -> str | None:
        """Return the organization whose installation a workspace uses, or None."""
        columns = self._table.c
        query = select(columns.enterprise_id).where(columns.client_id == self._client_id, columns.team_id == team_id)
        async with self._database.read() as db:
            found_id: str | None = (await db.execute(query)).scalar_one_or_none()
        return found_id

    async def workspaces_of(self, enterprise_id: str) -> list[str]:
        """Return the workspaces that use the installation of an organization."""
        columns = self._table.c
        query = select(columns.team_id).where(
            columns.client_id == self._client_id, columns.enterprise_id == enterprise_id
        )
        async with self._database.read() as db:
            return list((await db.execute(query.order_by(columns.team_id))).scalars())

    async def forget(self, team_id: str) -> None:
        """Delete a workspace: the app was removed from it, or from its organization."""
        columns = self._table.c
        async with self._database.write() as db:
            await db.execute(
                delete(self._table).where(columns.client_id == self._client_id, columns.team_id == team_id)
            )
        self._known = {pair for pair in self._known if pair[0] != team_id}
