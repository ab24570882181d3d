"""A model of what hands do to the lesions of a study, of plain arrays, which foretells what the case store must say.

The model knows nothing of patches, rows or journals: for every state it holds the labels of the whole study, decisions
and regions. What the store says must be equal to it after every move, also after undo, redo and a restart.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.mask_patch import Labels
from PSMATheranosticsLib.results import collect_results

STUDY = 1


@dataclass(frozen=True)
class Standing:
    """What is known of a lesion beside its voxels."""

    decision: str = "undecided"
    proposed: str = ""
    chosen: str = ""

    @property
    def region(self) -> str:
        """The region that counts."""
        return self.chosen or self.proposed


@dataclass(frozen=True)
class State:
    """One state of the study."""

    labels: Labels
    lesions: dict[int, Standing]

    def edited(self, labels: Labels, proposed: dict[int, str]) -> State:
        """The state after an edit that leads to ``labels``: parts take over what holds for the lesion they were in."""
        lesions = {}
        for lesion in (int(value) for value in np.unique(labels) if value):
            found = self.lesions.get(lesion)
            if found is None:
                origin = np.bincount(self.labels[labels == lesion])
                parent = int(origin.argmax())
                found = self.lesions[parent] if parent and 2 * origin[parent] > origin.sum() else Standing()
            lesions[lesion] = dataclasses.replace(found, proposed=proposed.get(lesion, found.proposed))
        return State(labels, lesions)

    def changed(self, lesions: Sequence[int], **values: str) -> State:
        """The state with other values for some lesions."""
        new = {lesion: dataclasses.replace(self.lesions[lesion], **values) for lesion in lesions}
        return State(self.labels, self.lesions | new)

    def having(self, *decisions: str) -> list[int]:
        """Lesions with one of these decisions."""
        return [lesion for lesion, found in self.lesions.items() if found.decision in decisions]


@dataclass
class Model:
    """All states since the model was begun, and which of them is the present one."""

    states: list[State]
    now: int = 0
    names: list[str] = field(default_factory=list)  # names[i] led from states[i] to the next

    @property
    def state(self) -> State:
        """The present state."""
        return self.states[self.now]

    def step(self, name: str, state: State) -> None:
        """A new state, which discards those that were undone."""
        self.states[self.now + 1 :] = [state]
        self.names[self.now :] = [name]
        self.now += 1


def model_of(case: CaseStore) -> Model:
    """A model that begins with the present state of a case."""
    rows = case._database.rows("SELECT lesion, region FROM lesions WHERE study_id = ?", (STUDY,))
    proposed = {row["lesion"]: row["region"] for row in rows}
    lesions = {
        found.lesion: Standing(
            found.decision, proposed[found.lesion], found.region.name if found.region_source == "reader" else ""
        )
        for found in case.lesions(STUDY, rejected=True)
    }
    return Model([State(_stored_labels(case), lesions)])


def require_agreement(case: CaseStore, model: Model) -> None:
    """The case must hold what the model says, in voxels, table, measures, totals and steps, to the last bit."""
    state = model.state
    assert np.array_equal(_stored_labels(case), state.labels)
    found = {lesion.lesion: lesion for lesion in case.lesions(STUDY, rejected=True)}
    assert {lesion: (one.decision, one.region.name) for lesion, one in found.items()} == {
        lesion: (one.decision, one.region) for lesion, one in state.lesions.items()
    }
    emission = case.load_image(case.study(STUDY).emission_id)
    labels = sitk.GetImageFromArray(state.labels)
    labels.CopyInformation(emission)
    assert [found[lesion].measures for lesion in sorted(found)] == measure_lesions(emission, labels)
    _require_totals(case, state, sitk.GetArrayViewFromImage(emission))
    if model.names:
        steps = [entry for entry in case.journal() if not entry.discarded][-len(model.names) :]
        assert [(step.action, step.undone) for step in steps] == [
            (name, index >= model.now) for index, name in enumerate(model.names)
        ]


def _require_totals(case: CaseStore, state: State, uptake: npt.NDArray[np.float32]) -> None:
    """Totals of the results against sums over the voxels."""
    result = collect_results(case).study(STUDY)
    assert result.totals is not None
    counted = state.having("undecided", "accepted")
    groups = {
        region or "unknown": [n for n in counted if state.lesions[n].region == region] for region in (*REGIONS, "")
    }
    wanted = {name: lesions for name, lesions in groups.items() if lesions}
    assert list(result.by_region) == list(wanted)
    voxel_ml = math.prod(case.load_image(case.study(STUDY).emission_id).GetSpacing()) / 1000.0
    for lesions, sums in [(counted, result.totals), *((wanted[name], result.by_region[name]) for name in wanted)]:
        values = uptake[np.isin(state.labels, lesions)].astype(np.float64)
        assert sums.lesion_count == len(lesions)
        assert math.isclose(sums.psma_tv_ml, values.size * voxel_ml, rel_tol=1e-9)
        assert math.isclose(sums.tl_psma, math.fsum(values) * voxel_ml, rel_tol=1e-9)
        assert sums.suv_max == (values.max() if lesions else None)


def _stored_labels(case: CaseStore) -> Labels:
    """The labels as they are stored, rejected lesions among them."""
    record = case.segmentation(STUDY)
    assert record is not None
    return sitk.GetArrayFromImage(case._states.load(record.labels_id))
