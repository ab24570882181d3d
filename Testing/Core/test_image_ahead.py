"""Images read ahead: once each, no more than one study before they are needed, and no thread left behind."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import SimpleITK as sitk
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.errors import Cancelled, CaseError
from PSMATheranosticsLib.image_ahead import ReadAhead
from PSMATheranosticsLib.pipeline import segment_studies, segment_study
from small_case import BASELINE, FOLLOW_UP, write_studies

STUDIES = (("pet 1", "ct 1"), ("pet 2", "ct 2"), ("pet 3",))
SETTINGS = {"rule_set": "suv3-all"}


class Shelf:
    """Gives an image for any name and keeps what was asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, name: str) -> sitk.Image:
        self.read.append(name)
        if name == "ct 2":
            raise CaseError("synthetic damage of ct 2")
        return sitk.Image(2, 2, 2, sitk.sitkUInt8) + len(self.read)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of three studies in which nobody has looked for lesions."""
    folder = tmp_path_factory.mktemp("made")
    studies = write_studies(folder / "studies", (BASELINE, FOLLOW_UP, BASELINE[:2]))
    assert main(["import", str(studies), "--case", str(folder / "case"), "--quiet"]) == 0
    return folder / "case"


def is_reading() -> bool:
    return any(thread.name.startswith("read-ahead") for thread in threading.enumerate())


def wait_for_readers(ahead: ReadAhead) -> None:
    ahead._pool.submit(lambda: None).result()


def test_images_are_read_once_and_one_study_ahead():
    shelf = Shelf()
    with ReadAhead(shelf, STUDIES) as ahead:
        assert shelf.read == [] and not is_reading()
        assert ahead.image("pet 1")[0, 0, 0] == ahead.image("pet 1")[0, 0, 0] == 1
        assert ahead.image("pet 3") is None and ahead.image("other") is None
        wait_for_readers(ahead)
        assert shelf.read == ["pet 1", "ct 1", "pet 2", "ct 2"]
        ahead.go_to(1)
        assert ahead.image("pet 1") is None
        assert ahead.image("pet 2")[0, 0, 0] == 3
        wait_for_readers(ahead)
        assert shelf.read[4:] == ["pet 3"]
    assert not is_reading()


def test_an_error_is_told_where_the_image_is_asked_for():
    with ReadAhead(Shelf(), STUDIES) as ahead:
        ahead.image("ct 1")
        ahead.go_to(1)
        ahead.image("pet 2")
        with pytest.raises(CaseError, match="ct 2"):
            ahead.image("ct 2")


def test_what_is_changed_is_not_changed_for_the_next_one():
    with ReadAhead(Shelf(), STUDIES) as ahead:
        mine = ahead.image("pet 1")
        mine[0, 0, 0] = 99
        assert ahead.image("pet 1")[0, 0, 0] == 1


def test_studies_get_the_same_lesions_as_one_by_one(made: Path, tmp_path: Path):
    one, other = (Path(shutil.copytree(made, tmp_path / name)) for name in ("one", "other"))
    with CaseStore.open(one, write=True) as case:
        segment_studies(case, settings=SETTINGS)
        found = [case.segmentation(study.study_id).labels_id for study in case.studies()]
    with CaseStore.open(other, write=True) as case:
        for study in case.studies():
            segment_study(case, study.study_id, settings=SETTINGS)
        assert [case.segmentation(study.study_id).labels_id for study in case.studies()] == found
    assert len(set(found)) == 3 and not is_reading()


def test_a_damaged_image_stops_at_its_own_study(made: Path, tmp_path: Path):
    folder = Path(shutil.copytree(made, tmp_path / "case"))
    with CaseStore.open(folder, write=True) as case:
        damaged = folder / "images" / f"{case.study(2).emission_id}.nrrd"
        damaged.write_bytes(damaged.read_bytes()[:500])
        with pytest.raises(CaseError, match=damaged.name):
            segment_studies(case, settings=SETTINGS)
        assert case.segmentation(1) is not None and case.segmentation(2) is None
        assert case.load_image(case.study(1).emission_id).GetSize() == (40, 40, 40)
    assert not is_reading()


@pytest.mark.parametrize("after", [0.01, 0.2, 0.4, 0.6, 0.9])
def test_a_cancel_leaves_no_thread(made: Path, tmp_path: Path, after: float):
    def stop(fraction: float, _: str) -> None:
        if fraction >= after:
            raise Cancelled

    with CaseStore.open(Path(shutil.copytree(made, tmp_path / "case")), write=True) as case:
        with pytest.raises(Cancelled):
            segment_studies(case, settings=SETTINGS, progress=stop)
        assert not is_reading()
        segment_studies(case, settings=SETTINGS)
        assert all(case.segmentation(study.study_id) is not None for study in case.studies())
