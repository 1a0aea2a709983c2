"""The archiver: copies the history from its stream into PostgreSQL, each message exactly once.

What a message becomes (:mod:`.rows`), where to go on and what is missing (:mod:`.position`) and which
partitions there are to be (:mod:`.retention`) are pure; :mod:`.stream` reads, :mod:`.database` writes,
:mod:`.archiver` brings them together.
"""
