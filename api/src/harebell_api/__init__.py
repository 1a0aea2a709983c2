"""REST and WebSocket over the resources.

Requests write Task specs; everything read comes from one watch cache per process. The operator alone writes
status.
"""
