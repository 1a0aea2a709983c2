"""Reconciles harebell's resources against RabbitMQ: observe, decide, act."""
