"""The part of the case store about the regions of the body that lesions are counted in."""

from __future__ import annotations

from PSMASegmentLib.lesion_regions import REGIONS, Region

from .case_decisions import CaseDecisions
from .errors import InputError


class CaseRegions(CaseDecisions):
    """Regions of the lesions of a case: as proposed with the lesion, or as a reader chose them."""

    def set_region(self, study_id: int, lesion: int, region: Region | None) -> None:
        """Record in which region a reader sees a lesion; None goes back to what was proposed.

        The choice is kept like any decision: it applies again to the lesion that stands there after the study was
        segmented again, and to all parts of a lesion that is split. Raises InputError for a name that is none of
        ``REGIONS``, CaseError for a lesion that is not there.
        """
        if region is not None and region.name not in REGIONS:
            raise InputError(f"'{region.name}' is no region of a lesion. Possible: {', '.join(REGIONS)}.")
        study = self.study(study_id)
        (known,) = self._known_lesions(study, [lesion])
        chosen = Region(known.region.name, known.region.site) if known.region_source == "reader" else None
        wanted = None if region is None else Region(region.name, region.site)
        if wanted == chosen:
            return
        name = f"Take the proposed region of lesion {lesion} of {study.label}"
        if wanted is not None:
            site = f" ({wanted.site})" if wanted.site else ""
            name = f"Set the region of lesion {lesion} of {study.label} to {wanted.name}{site}"
        columns = {"region": wanted.name if wanted else "", "site": wanted.site if wanted else ""}
        with self._change(name) as change:
            self._decide_on(change, "region_decisions", "region_decision_id", study_id, lesion, columns)
