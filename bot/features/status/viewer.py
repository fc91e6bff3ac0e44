"""The person who looks at the status."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.status.sections import Viewer
from bot.services import Services
from bot.slack.admins import AdminLookupError


async def viewer_of(services: Services, client: AsyncWebClient, team_id: str, person: str) -> Viewer:
    """Who looks. Where Slack does not say whether they are an admin, they are shown what everybody is."""
    try:
        return Viewer(person, await services.people.is_admin(client, team_id, person))
    except AdminLookupError:
        return Viewer(person, is_admin=False)
