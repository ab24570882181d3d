"""Follow lesions from study to study: registration, matching and tracks. Needs no Slicer."""
