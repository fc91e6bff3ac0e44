"""A world for a state machine: people, audiences, an engine that dies and starts again, and what has to be so.

people, truth     the reference: who is in which audience, and by which rule anybody is put on a list. Plain sets.
sources           files of audiences
faults, storage   what goes wrong, and a database as a process leaves it that dies
process           the engine, with a local Iterable behind it: dies, and starts again
runs, people's    what people and mParticle do: each tells the truth first, and then the engine
  decisions,
  mparticle
checks            the engine and the lists compared with the truth
"""
