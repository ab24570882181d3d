"""The images of one study of a case, as methods that look at them take them."""

from __future__ import annotations

import SimpleITK as sitk
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.segmentation import Images

from .case_store import CaseStore
from .records import StudyRecord


def images_of(case: CaseStore, study: StudyRecord, suv: sitk.Image | None = None) -> Images:
    """Emission image, CT and organ map of a study. ``suv``: the emission image in SUVbw, where that is at hand.

    Raises CaseError where an image is missing or damaged.
    """
    organs = None
    if study.organs_id is not None:
        organs = OrganMap(case.load_image(study.organs_id), dict(study.organ_names))
    return Images(
        emission=case.load_image(study.emission_id) if suv is None else suv,
        units=study.scaling.quantity if suv is None else "SUVbw",
        tracer=study.tracer,
        ct=case.load_image(study.ct_id) if study.ct_id is not None else None,
        organs=organs,
    )


def image_ids(study: StudyRecord) -> list[str]:
    """Of the images that ``images_of`` reads."""
    return [image_id for image_id in (study.emission_id, study.ct_id, study.organs_id) if image_id is not None]
