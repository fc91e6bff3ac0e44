"""mParticle's platform API: the audiences of an account."""
