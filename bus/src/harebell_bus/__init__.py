"""harebell's contract with RabbitMQ.

What is said (:mod:`.envelopes`), where it goes (:mod:`.topology`, :mod:`.lanes`), within which limits
(:mod:`.policies`), and how it gets there and back: :mod:`.link` keeps a connection, :mod:`.publisher`
publishes with confirms, :mod:`.claim` takes one message at a time.
"""
