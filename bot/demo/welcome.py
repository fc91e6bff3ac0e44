"""What is in the channel when somebody comes in: who is who, what to do first, the key, and a file to sync."""

from bot.demo.environment import LIST_NAME, DemoEnvironment

MARKETING = "marketing"


async def post_welcome_messages(here: DemoEnvironment) -> None:
    """Write the messages, as people of the workspace would."""
    ada, maya = here.slack.admin, here.slack.marketer
    await ada.say(_how_to_begin(here.iterable.key), MARKETING)
    await maya.upload_file(
        MARKETING, here.first.name, here.first.read_bytes(), "SpringShoppers, as I have downloaded it from mParticle"
    )
    await maya.upload_file(MARKETING, here.later.name, here.later.read_bytes(), "And the same audience a week later")


def _how_to_begin(key: str) -> str:
    return (
        "*Welcome!* This Slack, and an Iterable beside it, live on your computer only. Nothing real is touched.\n"
        "1. Be me, Ada (*Acting as*, upper left): only an admin connects Iterable. Copy the API key, "
        f"`{key}`, and type `/iterable-sync` here. Take #sync-alerts for alerts, and Amir as approver.\n"
        f'2. Be Maya. Type `/iterable-sync map`: audience SpringShoppers, list "{LIST_NAME}". Then sync the first file '
        "below: *Sync to Iterable* in the menu of its message.\n"
        "3. Be Amir. Press *Review* on the card that has appeared here, and approve. Watch the message change.\n"
        "4. Be Maya. Break Iterable under *Sandbox* (upper right), and sync the second file. Read the alert in "
        "#sync-alerts, mend Iterable, press *Retry*.\n"
        "5. A live audience: press *Play mParticle* under *Sandbox*. Be Amir. Press *Review* on the card in "
        "#sync-alerts, choose a list, approve: people arrive on it as they join. Then press *Disconnect the audience*."
    )
