"""One click: a lesion is made, grown, cut back or removed where a reader points."""
