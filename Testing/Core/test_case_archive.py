"""A case goes into one file and comes back equal; a file that is not what was exported leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from case_children import kill_after, running, work
from PSMATheranosticsLib import case_archive, case_import
from PSMATheranosticsLib.case_archive import export_case
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_import import import_case
from PSMATheranosticsLib.case_log import case_log
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from tiny_case import PATIENT, random_step, same_image, snapshot, study, two_studies


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The archive of a small case with undone and discarded steps."""
    with two_studies(tmp_path / "case") as case:
        case.decide_lesion(1, 1, "accepted")
        case.decide_lesion(1, 2, "rejected")
        case.undo()
    return export_case(tmp_path / "case", tmp_path / "out" / "case.psmacase", user="exporter")


def rebuilt(archive: Path, change: Callable[[dict[str, bytes]], None], seal: bool = True) -> Path:
    """The archive with its members changed; ``seal``: with a manifest that fits them."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members)
    if seal:
        manifest["members"] = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
        ]
    path = archive.with_name("changed.psmacase")
    with zipfile.ZipFile(path, "w") as target:
        for name, content in {**members, "manifest.json": json.dumps(manifest)}.items():
            target.writestr(name, content)
    return path


def with_manifest(archive: Path, **changes: Any) -> Path:
    """The archive with other entries in its manifest."""
    path = archive.with_name("manifest.psmacase")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "manifest.json":
                content = json.dumps({**json.loads(content), **changes}).encode()
            target.writestr(name, content)
    return path


def refuse(file: Path, error: type[Exception] = InputError, match: str | None = None) -> None:
    """The import must fail and leave no trace."""
    folder = file.parent / "new" / "case"
    folder.parent.mkdir(exist_ok=True)
    with pytest.raises(error, match=match):
        import_case(file, folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("seed", range(4))
def test_everything_comes_back_equal_and_can_be_undone(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    with CaseStore.create(tmp_path / "case", PATIENT, user="tester") as case:
        while len(case.journal()) < 30:
            random_step(case, chance)
        export_case(tmp_path / "case", tmp_path / "x.psmacase")  # beside the open writer
        states, journal, undone = [snapshot(case)], case.journal(), [case.undo()]
        while undone[-1] is not None:
            states.append(snapshot(case))
            undone.append(case.undo())
    import_case(tmp_path / "x.psmacase", tmp_path / "copy")
    assert check_case(tmp_path / "copy") == []
    with CaseStore.open(tmp_path / "copy", write=True) as copy:
        assert copy.patient == PATIENT
        assert copy.journal() == journal
        assert snapshot(copy) == states[0]
        for item in copy.studies():
            for image_id in filter(None, (item.emission_id, item.ct_id, item.organs_id)):
                assert same_image(copy.load_image(image_id), case.load_image(image_id))
        for action, state in zip(undone, [*states[1:], None], strict=True):
            assert copy.undo() == action
            assert state is None or snapshot(copy) == state
        redone = [copy.redo() for _ in undone]
        assert redone == [*reversed(undone[:-1]), None]
        assert snapshot(copy) == states[0]


def test_export_and_import_stand_in_the_log(archive: Path, tmp_path: Path):
    import_case(archive, tmp_path / "copy", user="importer")
    with CaseStore.open(tmp_path / "case") as case, CaseStore.open(tmp_path / "copy") as copy:
        last, first = case_log(case)[-1], case_log(copy)[-1]
    assert (last.user, last.step) == ("exporter", None)
    assert str(archive) in last.action
    assert first.user == "importer"
    assert "exported by exporter on " in first.action


def test_images_of_discarded_steps_stay_behind_and_images_for_undo_come_along(tmp_path: Path):
    with two_studies(tmp_path / "case") as case:
        case.add_study(study(3))
        discarded = case.study(3).emission_id
        case.undo()
        case.add_study(study(4))
        undone = case.study(3).emission_id
        case.undo()
        spare = case._images.save(study(77).emission)
    with zipfile.ZipFile(export_case(tmp_path / "case", tmp_path / "x.psmacase")) as archive:
        names = archive.namelist()
        kinds = {info.filename.rpartition(".")[2]: info.compress_type for info in archive.infolist()}
    assert f"images/{undone}.nrrd" in names
    assert f"images/{discarded}.nrrd" not in names
    assert f"images/{spare}.nrrd" not in names
    assert kinds["nrrd"] == zipfile.ZIP_STORED
    import_case(tmp_path / "x.psmacase", tmp_path / "copy")
    assert check_case(tmp_path / "copy") == []


def test_beside_a_busy_writer_the_archive_holds_one_sound_state(tmp_path: Path):
    CaseStore.create(tmp_path / "case", PATIENT).close()
    kill_after(0.5, work, tmp_path / "case")
    with running(work, tmp_path / "case") as child:
        child.recv()
        for number in range(4):
            export_case(tmp_path / "case", tmp_path / f"{number}.psmacase")
    lengths = []
    for number in range(4):
        import_case(tmp_path / f"{number}.psmacase", tmp_path / f"copy{number}")
        assert check_case(tmp_path / f"copy{number}") == []
        with CaseStore.open(tmp_path / f"copy{number}") as copy:
            lengths.append(len(copy.journal()))
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


def test_an_export_leaves_no_half_file_and_overwrites_none(tmp_path: Path, archive: Path):
    with pytest.raises(InputError, match="exists already"):
        export_case(tmp_path / "case", archive)
    with pytest.raises(InputError, match="case folder itself"):
        export_case(tmp_path / "case", tmp_path / "case" / "x.psmacase")

    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_case(tmp_path / "case", tmp_path / "out" / "y.psmacase", cancel)
    image = next((tmp_path / "case" / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-9])
    with pytest.raises(CaseError, match="psma check"):
        export_case(tmp_path / "case", tmp_path / "out" / "y.psmacase")
    assert list((tmp_path / "out").iterdir()) == [archive]


def test_another_compression_is_refused(archive: Path):
    again = archive.with_name("bz2.psmacase")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(again, "w", zipfile.ZIP_BZIP2) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    refuse(again, match="another way")


def test_a_cancelled_import_leaves_nothing_and_the_next_one_works(tmp_path: Path, archive: Path):
    seen: list[float] = []

    def cancel(fraction: float, message: str) -> None:
        seen.append(fraction)
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_case(archive, tmp_path / "copy", cancel)
    assert seen == sorted(seen)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case", "out"]
    (tmp_path / ".copy.import.unfinished" / "case" / "images").mkdir(parents=True)  # of an import that was killed
    (tmp_path / "copy").mkdir()
    import_case(archive, tmp_path / "copy")
    assert check_case(tmp_path / "copy") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case", "copy", "out"]
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["case.db", "images"]


def test_a_case_or_other_files_are_not_overwritten(tmp_path: Path, archive: Path):
    with pytest.raises(CaseError, match=r"a case in .* already"):
        import_case(archive, tmp_path / "case")
    with pytest.raises(CaseError, match="not an empty folder"):
        import_case(archive, tmp_path / "out")
    assert check_case(tmp_path / "case") == []


@pytest.mark.parametrize(
    "content", [b"", b"text, no archive" * 99, b"PK\x03\x04" + bytes(200), b"PK\x05\x06" + bytes(18)]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.psmacase").write_bytes(content)
    refuse(tmp_path / "x.psmacase", match="not a case that PSMATheranostics exported")


def test_a_missing_file_is_refused(tmp_path: Path):
    refuse(tmp_path / "x.psmacase", CaseError, "No such file")


def test_every_truncated_archive_is_refused(archive: Path):
    content = archive.read_bytes()
    cut = archive.with_name("cut.psmacase")
    chance = random.Random(1)
    for length in [*chance.sample(range(len(content)), 60), len(content) - 1]:
        cut.write_bytes(content[:length])
        refuse(cut)


def test_a_flipped_byte_is_refused_or_means_nothing(archive: Path, tmp_path: Path):
    with CaseStore.open(tmp_path / "case") as case:
        state, journal = snapshot(case), case.journal()
    content = archive.read_bytes()
    flipped = archive.with_name("flipped.psmacase")
    chance = random.Random(2)
    refused = harmless = 0
    for number in range(150):
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        flipped.write_bytes(changed)
        folder = tmp_path / "copies" / str(number)
        try:
            import_case(flipped, folder)
        except InputError:
            refused += 1
            assert not folder.exists()
            continue
        harmless += 1  # a time stamp or attribute of the archive
        with CaseStore.open(folder) as copy:
            assert (snapshot(copy), copy.journal()) == (state, journal)
    assert refused > 100, (refused, harmless)
    assert len(list((tmp_path / "copies").iterdir())) == harmless


def test_an_archive_that_points_before_its_start_is_called_damaged(archive: Path):
    changed = bytearray(archive.read_bytes())
    changed[-3] ^= 0x40  # of the offset at its end that all others count from
    archive.write_bytes(changed)
    refuse(archive, match="or it is damaged")


@pytest.mark.parametrize(
    "name",
    ["../case.db", "/etc/case.db", "images/../../x.nrrd", "C:\\x.nrrd", "images/" + "0" * 63 + ".nrrd", "report.html"],
)
def test_foreign_and_climbing_names_are_refused(archive: Path, name: str):
    refuse(rebuilt(archive, lambda members: members.update({name: b"x"})), match="does not belong into a case")


def test_a_changed_missing_or_added_member_is_refused(archive: Path):
    image = f"images/{'0' * 64}.nrrd"
    refuse(rebuilt(archive, lambda members: members.update({image: b"x"}), seal=False), match="members differ")
    refuse(rebuilt(archive, lambda members: members.pop("case.db"), seal=False), match="members differ")
    refuse(rebuilt(archive, lambda members: members.pop("case.db")), match=r"holds no case.db")

    def flip(members: dict[str, bytes]) -> None:
        members["case.db"] = members["case.db"][:-1] + b"x"

    refuse(rebuilt(archive, flip, seal=False), match="does not match its hash")


def test_sizes_are_bounded_by_the_manifest_and_the_disk(archive: Path, monkeypatch: pytest.MonkeyPatch):
    refuse(rebuilt(archive, lambda members: members.update({"case.db": bytes(99)}), seal=False), match="another size")
    free = case_import.shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr(case_import.shutil, "disk_usage", lambda path: free)
    refuse(archive, CaseError, "Free some space")


def test_a_case_damaged_before_its_export_is_refused(archive: Path):
    def damage(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name != "case.db")
        members[name] = members[name][:-1] + b"x"

    refuse(rebuilt(archive, damage), CaseError, "damaged already")
    refuse(rebuilt(archive, lambda members: members.update({"case.db": b"x" * 5000})), match="database cannot be read")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER evil AFTER INSERT ON meta BEGIN DELETE FROM journal; END",
        "CREATE VIEW evil AS SELECT * FROM meta",
        "CREATE VIRTUAL TABLE evil USING fts5(text)",
    ],
)
def test_a_database_that_could_run_foreign_code_is_refused(archive: Path, tmp_path: Path, sql: str):
    def plant(members: dict[str, bytes]) -> None:
        path = tmp_path / "planted.db"
        path.write_bytes(members["case.db"])
        connection = sqlite3.connect(path)
        connection.execute(sql)
        connection.commit()
        connection.close()
        members["case.db"] = path.read_bytes()

    refuse(rebuilt(archive, plant), match="does not belong into a case")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "other"}, "its format is 'other'"),
        ({"format_version": 2}, "newer PSMATheranostics"),
        ({"members": None}, "manifest.json"),
        ({"members": [{"name": "case.db"}]}, "exported"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(archive: Path, changes: dict[str, Any], match: str):
    refuse(with_manifest(archive, **changes), match=match)


def test_two_members_of_one_name_are_refused(archive: Path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "a") as more:
        more.writestr("case.db", b"second")
    refuse(archive, match="two members have the same name")


def test_an_encrypted_archive_is_refused(archive: Path):
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flags of the first member in the central directory
    archive.write_bytes(content)
    refuse(archive, match="encrypted")


def test_an_archive_of_more_than_4_gib_is_read_and_written_as_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(case_archive.zipfile, "ZIP64_LIMIT", 1000)  # in place of 4 GiB
    with two_studies(tmp_path / "case") as case:
        state = snapshot(case)
    export_case(tmp_path / "case", tmp_path / "x.psmacase")
    assert b"PK\x06\x06" in (tmp_path / "x.psmacase").read_bytes()  # the record that only Zip64 has
    import_case(tmp_path / "x.psmacase", tmp_path / "copy")
    with CaseStore.open(tmp_path / "copy") as copy:
        assert snapshot(copy) == state
