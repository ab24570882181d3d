"""Random properties are tested on the same examples in every run: a failure is of the change at hand, not of chance."""

from hypothesis import settings

settings.register_profile("same examples", derandomize=True)
settings.load_profile("same examples")
