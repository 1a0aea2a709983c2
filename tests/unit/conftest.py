"""How unit tests run: also beside others, so how long an example takes says nothing."""

from hypothesis import settings

settings.register_profile("beside", deadline=None)
settings.load_profile("beside")
