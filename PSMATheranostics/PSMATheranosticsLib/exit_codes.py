"""What the command ``psma`` returns to its caller; 1 is an internal error with a traceback, 2 wrong usage."""

DONE = 0
INPUT = 3  # input refused
CASE = 4  # case folder cannot be used
DAMAGE = 5  # check found damage
DEMO = 6  # the demo did not find what was planted
MEMORY = 7  # the memory of the computer was not enough
STOPPED = 130  # by the user
