"""Reconciles harebell's resources against RabbitMQ: observe, decide, act."""

__version__ = "0.1.0"
