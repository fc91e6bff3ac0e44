"""Sources that can't remove: what mParticle leaves out, so that people who left the audience stay on the list.

From mParticle's documentation of the outputs to Google Cloud Storage ("Include Audience Deletes", off by default) and
Amazon Kinesis ("Send Remove On Identity Change"), and of standard audiences, which are computed once, expire after 30
days and are not withdrawn.
"""

from core.sources import SourceFormat
from core.store.runs import DeltaHistory

#: If none of so many files with changes held a removal, something is probably left out.
SUSPICIOUS_FILES = 5

BUCKET = (
    "mParticle leaves removals out of this output unless Include Audience Deletes is on, and it is off by default. "
    "Without it, people who leave the audience stay on the list."
)
STREAM = (
    "If Send Remove On Identity Change is off in this output of mParticle, a person whose email changes stays on the "
    "list under the former one, too."
)
STANDARD = (
    "A standard audience is computed once, and mParticle withdraws no one from it, even after it expires; neither does "
    "its bucket output when an audience is deleted."
)
DELETED = (
    "The connected mParticle account has no active audience of this id: it was deleted or archived, or belongs to "
    "another account. After that, mParticle's bucket output sends nothing, and people stay on the list."
)
#: What a person should know when an audience is mapped and it is not known yet what will feed it.
WHEN_MAPPED = (
    "People leave the list only if the source says so. A full download always does. mParticle's bucket output does if "
    "Include Audience Deletes is on (it is off by default). Its Kinesis output reports people whose email or customer "
    "id changes unless Send Remove On Identity Change is off. A standard audience never says who left. If an audience "
    "is deleted in mParticle, its people stay on the list unless its output says that they left."
)


def removal_note(history: DeltaHistory) -> str:
    """Return what to know of the removals of files like these; "" if they hold some.

    A stream may hold some and still leave out former identities.
    """
    if history.removals:
        return STREAM if history.shape == SourceFormat.STREAM else ""
    if not history.files:
        return ""
    known: dict[str, str] = {SourceFormat.BUCKET: BUCKET, SourceFormat.STREAM: STREAM}
    about = [known[history.shape]] if history.shape in known else []
    if history.files >= SUSPICIOUS_FILES:
        never = f"None of the last {history.files:,} files held a removal."
        about = [never, *about, STANDARD]
    return " ".join(about)
