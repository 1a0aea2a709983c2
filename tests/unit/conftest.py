"""How unit tests run: on machines that have other work too, so how long an example takes says nothing."""

from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
