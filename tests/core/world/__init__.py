"""A world for the state machine: people, audiences, an engine that dies and restarts, and the checks.

people, truth     the reference, in plain sets: the members of each audience, and the rule that puts them on a list
sources           files of audiences
faults, storage   faults of requests, and a database in the state in which a dying process leaves it
process           the engine with a local Iterable: it dies, and restarts
runs, decisions,  actions of people and of mParticle: each first changes the truth, and then the engine
  mparticle
meddling          actions during a run
checks            comparisons of the engine and the lists with the truth
"""
