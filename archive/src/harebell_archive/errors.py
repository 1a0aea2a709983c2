"""What can go wrong in the archive, in this package's own words."""


class ArchiveError(Exception):
    """Base of all errors of this package. All of them pass: the archiver waits and begins again."""


class DatabaseUnavailableError(ArchiveError):
    """PostgreSQL did not do what was asked; the message says why."""


class StandbyError(ArchiveError):
    """Another archiver holds the lock."""


class PositionLostError(ArchiveError):
    """The position in the database is not where this archiver left it: another one wrote."""


class StreamError(ArchiveError):
    """The stream cannot be read now, or what was read cannot be gone on from."""
