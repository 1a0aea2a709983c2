"""What can go wrong on the bus, in this package's own words."""


class BusError(Exception):
    """Base of all errors of this package."""


class BrokerUnavailableError(BusError):
    """The broker did not confirm in time. The message may or may not have arrived."""


class UnroutableError(BusError):
    """No queue is bound for the message; the broker returned it."""


class RefusedError(BusError):
    """The broker refused to take responsibility for the message (``basic.nack``)."""


class IdInUseError(BusError):
    """Another connection speaks for the agent of this id, or the broker has not seen yet that it is gone."""


class UnsupportedBrokerError(BusError):
    """The broker is older than harebell needs."""


class UnreadableMessageError(BusError):
    """A message's body is not an envelope this version understands."""
