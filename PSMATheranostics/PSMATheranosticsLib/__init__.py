"""One man's case: studies in, case folder, response, report and command line. Needs no Slicer."""

__version__ = "0.1.0"
