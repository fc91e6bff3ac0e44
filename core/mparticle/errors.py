"""The errors of mParticle's platform API. No message contains a client id, a secret or a token."""

from core.errors import SyncError


class MParticleError(SyncError):
    """mParticle's platform API did not answer as asked. The base of the errors in this module."""

    code = "mparticle"


class MParticleCredentialsError(MParticleError):
    """mParticle refuses the client id or the client secret."""

    code = "mparticle_credentials"


class AccountAccessError(MParticleError):
    """The credentials work, but not for this account."""

    code = "mparticle_account"


class MParticleBusyError(MParticleError):
    """mParticle asks to send fewer requests (429), also after waiting."""

    code = "mparticle_busy"


class MParticleUnavailableError(MParticleError):
    """mParticle can't be reached, or answers with a server error."""

    code = "mparticle_unavailable"


class UnexpectedMParticleError(MParticleError):
    """mParticle's answer can't be read."""

    code = "mparticle_answer"
