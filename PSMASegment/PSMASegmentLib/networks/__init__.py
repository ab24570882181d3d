"""Networks on a crop around a click: what they are given, how they run, and what becomes of their answer."""
