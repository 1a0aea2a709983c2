"""What an action raises to say how it failed, and what can be wrong at start-up."""


class SettingsError(ValueError):
    """The environment, the command line or the agent's own definition is wrong. The text is for people."""


class TaskError(Exception):
    """Base of the errors an action raises on purpose. ``code`` is a CamelCase word for programs."""

    retryable = True
    code: str = ""
    """A subclass may have one of its own; without any it is the class's name."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code or type(self).__name__


class RetryableError(TaskError):
    """This attempt failed, another may succeed. So may any other exception; this one names its code."""


class UnfinishedError(RetryableError):
    """A resumable action was told to stop, and another attempt is to go on from its last checkpoint."""

    def __init__(
        self, message: str = "told to stop before it had finished", *, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)


class PermanentError(TaskError):
    """The Task fails now, whatever retries it has left."""

    retryable = False
