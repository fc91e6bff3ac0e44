"""Operations on connections, and on the token itself."""

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Connection, ConnectionPage, TokenInfo
from core.store.api_tokens import Scope

operations = Operations("Connections")


@operations.add("GET", "/connections", Scope.READ, result=ConnectionPage)
async def list_connections(call: Call) -> ConnectionPage:
    """List the connections, by name. Keys are never returned."""
    return ConnectionPage(items=[Connection.of(each) for each in await call.connections()])


@operations.add("GET", "/token", Scope.READ, result=TokenInfo)
async def get_token(call: Call) -> TokenInfo:
    """Get the name and the scopes of the token of this request."""
    return TokenInfo(name=call.token.name, scopes=sorted(call.token.scopes), workspace=call.token.team_id)
