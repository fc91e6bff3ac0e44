"""The files that mParticle's outputs write: additions and removals since the last file.

Sources: mParticle's documentation of the audience outputs to Google Cloud Storage and to Amazon Kinesis Firehose. Both
have switches that leave removals out.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from sandbox.mparticle.messages import Audience, Profile

#: "add" or "delete", the profile, and when (milliseconds since 1970).
Change = tuple[str, Profile, int]


def write_bucket_export(
    folder: Path, audience: Audience, changes: Sequence[Change], *, number: int = 1, include_deletes: bool = False
) -> Path:
    """Write a file of the output to Google Cloud Storage. "Include Audience Deletes" is off by default."""
    name = f"{audience.name.replace(' ', '-')}_{audience.id}_2026-01-{number:02}_09-00-00_{number:08x}.txt"
    lines = []
    for action, profile, at_ms in changes:
        if action == "delete" and not include_deletes:
            continue
        identities = {"customer_id": profile.customer_id, "email": profile.email, "mpid": str(profile.mpid)}
        kept = {kind: value for kind, value in identities.items() if value is not None}
        lines.append(
            {"IsAddRequest": action == "add", "IdentityValues": kept, "MembershipChangedTimestamp": at_ms},
        )
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_stream_export(path: Path, audience: Audience, changes: Sequence[Change]) -> Path:
    """Write messages of the output to Amazon Kinesis, as they land in a bucket: one after the other."""
    messages = [
        {
            "MembershipChangedTimestamp": str(at_ms),
            "AudienceId": audience.id,
            "AudienceName": audience.name,
            "IsMember": action == "add",
            "UserIdentities": {"CustomerId": profile.customer_id, "Email": profile.email},
        }
        for action, profile, at_ms in changes
    ]
    path.write_text("".join(map(json.dumps, messages)))
    return path
