"""A local mParticle: sends Firehose messages as mParticle does, and repeats those that are not answered with 200."""

from sandbox.mparticle.client import MParticle, RefusedError
from sandbox.mparticle.messages import Audience, Profile

__all__ = ["Audience", "MParticle", "Profile", "RefusedError"]
