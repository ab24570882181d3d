"""Fault tests of the case store: ``soak.py`` runs them in full, ``test_case_faults.py`` in a short form."""
