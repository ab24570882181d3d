"""Find lesions on one PSMA PET study: rules, measures and the phantom that tests them. Needs no Slicer."""
