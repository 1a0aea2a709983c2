"""The live feed of Tasks: what changed, in the order of resource versions, for whoever follows it.

It is a feed of states, not of steps. All readers share one ordered log that holds the newest change of each
Task, so that a reader is a place in it and nothing more: who is slow misses states that were overtaken, never
the last. See ADR 25.
"""
