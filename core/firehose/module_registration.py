"""The registration of this integration with mParticle. Its settings are those of the hosted integration.

So it can replace the hosted integration without new settings in mParticle.
"""

from typing import Any

NAME = "Iterable Sync"
VERSION = "1.1"
# Without it mParticle may send a message for each profile. The minute is the shortest wait that can be declared.
BULK = {"bulk_forward_wait_for_messages": 500, "bulk_forward_wait_in_minutes": 1}
# mParticle shows at most 230 characters.
DESCRIPTION = (
    "Keeps Iterable lists equal to your audiences as they change. Changes are stored before they are acknowledged, "
    "wait for approval where you want that, and every rejected member is reported with its reason."
)

#: The settings, by the names that the hosted integration uses.
API_KEY, USER_ID_FIELD, LIST_ID = "apiKey", "userIdField", "listId"


def registration(domain: str, *, with_attributes: bool = False) -> dict[str, Any]:
    """Return the part of a module_registration_response that describes this integration.

    `with_attributes`: ask for user attributes in audiences. The permission's name in JSON is
    `allow_audience_user_attributes`, as in the schema and the annotation in mParticle's Firehose SDK (`Permissions`);
    only the setter in Java is called AllowAudienceUserAttributeSharing.

    `domain` is the host name at which mParticle reaches it: OpenDSR names a processor by its domain. The fields are
    those of mParticle's Firehose SDK (`bulk_configuration`; `domain` since 2.9.2).
    """
    account_settings = [
        _setting(
            API_KEY, "API Key", "A server-side API key of the Iterable project.", required=True, confidential=True
        ),
        _setting(
            USER_ID_FIELD,
            "User ID",
            "Which identity becomes Iterable's userId: customerId (the default) or mpid.",
            default_value="customerId",
        ),
    ]
    list_id = _setting(
        LIST_ID, "List ID", "The Iterable list to keep equal to the audience. Leave it out to choose it in Slack."
    )
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "version": VERSION,
        "permissions": {
            "user_identities": [
                {"type": "email", "encoding": "raw", "required": False},
                {"type": "customer", "encoding": "raw", "required": False},
            ],
            "allow_access_mpid": True,
            **({"allow_audience_user_attributes": True} if with_attributes else {}),
        },
        "audience_processing_registration": {
            "account_settings": account_settings,
            "audience_subscription_settings": [list_id],
            "bulk_configuration": BULK,
        },
        "dsr_processing_registration": {
            "account_settings": account_settings,
            "supported_dsr_types": ["erasure"],
            "domain": domain,
        },
    }


def _setting(
    setting_id: str, name: str, description: str, *, required: bool = False, confidential: bool = False, **more: Any
) -> dict[str, Any]:
    return {
        "type": "text",
        "id": setting_id,
        "name": name,
        "description": description,
        "visible": True,
        "required": required,
        "confidential": confidential,
        **more,
    }
