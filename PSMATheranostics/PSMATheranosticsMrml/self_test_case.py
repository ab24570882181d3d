"""A synthetic case small enough for the modules' self-tests: hot balls in a box of soft tissue, at two dates.

With the checks of the self-tests that need no panel.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.study import Study

    from .results_logic import ResultsLogic

SIZE, SPACING_MM = 32, 4.0
SETTINGS = {"rule_set": "suv3-all"}  # a box has no organs whose uptake could be taken away
# center as z, y, x voxel; radius in mm; SUV
BASELINE_BALLS = (((8, 10, 10), 9.0, 12.0), ((22, 10, 20), 8.0, 9.0))
FOLLOW_UP_BALLS = (((8, 10, 10), 7.0, 8.0), ((24, 24, 24), 8.0, 10.0))


def makeCase(folder: Path, followed: bool = True) -> None:
    """Write the case: the first ball shrinks, the second goes, a third appears. ``followed``: segmented and matched."""
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create, segment_study
    from PSMATheranosticsLib.pipeline_tracking import track_lesions

    studies = [_study(datetime(2026, 1, 10), BASELINE_BALLS), _study(datetime(2026, 4, 10), FOLLOW_UP_BALLS)]
    with open_or_create(folder, studies) as case:
        ids = import_studies(case, studies)
        if followed:
            for studyId in ids:
                segment_study(case, studyId, settings=SETTINGS)
            track_lesions(case, registration="identity")


def checkPlotsAndRegions(logic: ResultsLogic) -> None:
    """Enter a PSA value and place a reference region: one has a plot, the other a sphere, and both leave again."""
    from PSMATheranosticsLib.psa_values import add_psa
    from PSMATheranosticsLib.reference_regions import move_reference

    from .reference_markers import ReferenceMarkers
    from .result_plots import PSA_CHART, RESULT_CHART, psaChart, volumeChart
    from .track_charts import removeCharts

    study = logic.results().studies[-1].study_id
    logic.change(lambda case: add_psa(case, date(2026, 1, 8), 42.0))
    logic.change(lambda case: move_reference(case, study, "liver", (0.0, 0.0, -440.0), 12.0))
    results = logic.results()
    before = _nodesForViews()
    assert volumeChart(results).GetNumberOfPlotSeriesNodes() == 1
    table = psaChart(results).GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert (table.GetValue(0, 0).ToInt(), table.GetValue(0, 1).ToDouble()) == (-2, 42.0)
    markers = ReferenceMarkers(lambda _name, _center: None)
    markers.show(results.study(study).references, ["vtkMRMLSliceNodeRed"], "liver")
    assert slicer.util.getNode("liver").GetNumberOfControlPoints() == 1
    markers.remove()
    for role in (RESULT_CHART, PSA_CHART):
        removeCharts(role)
    assert _nodesForViews() == before


def _nodesForViews() -> list[int]:
    kinds = (
        "vtkMRMLDisplayNode",
        "vtkMRMLMarkupsNode",
        "vtkMRMLModelNode",
        "vtkMRMLPlotSeriesNode",
        "vtkMRMLTableNode",
    )
    return [slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds]


def checkSignOff(logic: ResultsLogic) -> None:
    """Solve what keeps the case from being signed, sign it; a change reopens it, and undo lets it stand again."""
    from PSMATheranosticsLib.psa_values import add_psa
    from PSMATheranosticsLib.reader_statement import confirm
    from PSMATheranosticsLib.sign_off import sign

    from . import history

    for study in logic.results().studies:
        found = [each.lesion for each in study.lesions]
        logic.change(lambda case, study=study.study_id, found=found: case.decide_lesions(study, found, "accepted"))
    for each in logic.results().responses:
        logic.change(lambda case, each=each: confirm(case, each.followup_id, each.criterion, each.category))
    logic.change(lambda case: sign(case, logic.results()))
    assert logic.results().sign_off.state == "signed"
    logic.change(lambda case: add_psa(case, date(2026, 4, 8), 12.0))
    assert logic.results().sign_off.state == "reopened"
    history.undo()
    assert logic.results().sign_off.state == "signed"


def _study(acquired: datetime, balls: tuple) -> Study:
    from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

    day = f"{acquired:%Y%m%d}"
    uids = tuple(f"2.25.{day}{index:04d}" for index in range(SIZE + 3))
    return Study(
        patient=Patient("SYNTHETIC-SELF-TEST", "Synthetic^SelfTest"),
        acquired=acquired,
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission=_emission(balls),
        scaling=Scaling("SUVbw", 1.0, "synthetic, made as SUVbw"),
        origin=DicomOrigin(uids[0], uids[1], uids[2], "1.2.840.10008.5.1.4.1.1.128", uids[3:], generated=True),
        source="synthetic",
        fingerprint=f"self-test-{day}",
        ct=_ct(),
    )


def _emission(balls: tuple) -> sitk.Image:
    import numpy as np

    z, y, x = np.indices((SIZE,) * 3)
    suv = np.full((SIZE,) * 3, 0.4, np.float32)
    for center, radius, value in balls:
        squared = sum((axis - at) ** 2 for axis, at in zip((z, y, x), center, strict=True))
        suv[squared * SPACING_MM**2 <= radius**2] = value
    return _image(suv)


def _ct() -> sitk.Image:
    import numpy as np

    hu = np.full((SIZE,) * 3, -1000, np.int16)  # air around a box of soft tissue
    hu[:, 4:-4, 4:-4] = 40
    hu[:, 18:22, 14:18] = 400  # a spine
    return _image(hu)


def _image(array: object) -> sitk.Image:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([-64.0, -64.0, -500.0])
    return image
