"""What a route needs to deliver, and people don't see: addresses, signing secrets, passwords. Stored encrypted."""

from pydantic import BaseModel, ConfigDict

from core.engine import Engine
from core.store.routes import Route


class RouteSecrets(BaseModel):
    """The secrets of a route. Each kind of route uses some of them."""

    model_config = ConfigDict(frozen=True)

    url: str = ""
    """The address of the webhook or of PagerDuty, or the mail server (smtps://user@host:465)."""
    secret: str = ""
    """The signing secret of a webhook, PagerDuty's routing key, the password of the mail server."""
    headers: dict[str, str] = {}
    """Further headers of a webhook's requests."""
    template: str = ""
    """The template of a webhook's body, as JSON; "": the event itself."""
    recipients: tuple[str, ...] = ()
    sender: str = ""


def seal(engine: Engine, secrets: RouteSecrets) -> bytes:
    """Return the secrets encrypted."""
    return engine.vault.encrypt(secrets.model_dump_json())


def unseal(engine: Engine, route: Route) -> RouteSecrets:
    """Return the secrets of a route. Raises SettingsError if they can't be decrypted."""
    return (
        RouteSecrets() if route.sealed is None else RouteSecrets.model_validate_json(engine.vault.decrypt(route.sealed))
    )
