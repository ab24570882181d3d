"""``psma report``: files, language, paper, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pypdf
import pytest
from example_case import A, B, Spot, Visit, make_case
from PSMATheranosticsLib import exit_codes
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.output_names import REPORT, REPORT_PDF, RESULTS, TABLE, WORKBOOK

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("command") / "case"
    make_case(path, [Visit(0, [A, B]), Visit(84, [A, NEW])]).close()
    return path


def test_report_tables_and_results_go_into_the_folder_that_is_named(folder, tmp_path, capsys):
    known = set(folder.rglob("*"))
    assert main(["report", str(folder), "--to", str(tmp_path / "out"), "--quiet"]) == exit_codes.DONE
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {REPORT, REPORT_PDF, RESULTS, TABLE, WORKBOOK} <= written
    assert "dcm" not in " ".join(written)
    assert set(folder.rglob("*")) == known  # the case itself gets nothing
    said = capsys.readouterr().out
    assert str((tmp_path / "out" / REPORT).resolve()) in said
    assert str((tmp_path / "out" / REPORT_PDF).resolve()) in said


def test_language_and_paper_are_those_that_are_asked_for(folder, tmp_path):
    options = ["--language", "de", "--paper", "letter", "--quiet"]
    assert main(["report", str(folder), "--to", str(tmp_path), *options]) == exit_codes.DONE
    html = (tmp_path / REPORT).read_text(encoding="utf-8")
    assert "Forschungssoftware, kein Medizinprodukt." in html
    page = pypdf.PdfReader(tmp_path / REPORT_PDF).pages[0]
    assert float(page.mediabox.width) == pytest.approx(612.0, abs=0.1)
    assert "Forschungssoftware" in page.extract_text()
    # Files for programs stay in English.
    assert "at least 20 % increase with new lesions" in (tmp_path / RESULTS).read_text(encoding="utf-8")


def test_without_pdf_there_is_none_and_the_files_are_listed(folder, tmp_path, capsys):
    assert main(["report", str(folder), "--to", str(tmp_path), "--no-pdf", "--json"]) == exit_codes.DONE
    last = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    files = [Path(name) for name in (last.get("result") or last)["files"]]
    assert all(path.exists() for path in files)
    assert tmp_path / REPORT in files
    assert not (tmp_path / REPORT_PDF).exists()


@pytest.mark.parametrize("command", ["report", "dicom"])
@pytest.mark.parametrize("name", ["file", "file/below", "no\0name"])
def test_a_folder_that_cannot_be_is_told_before_anything_is_written(folder, tmp_path, command, name, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main([command, str(folder), "--to", str(tmp_path / name), "--json"]) == exit_codes.INPUT
    message = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["message"]
    assert "Nothing can be written to the folder" in message and message.endswith("Choose another one.")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("options", [["--language", "fr"], ["--paper", "a5"]])
def test_an_unknown_language_or_paper_is_refused(folder, options, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(folder), *options])
    assert stopped.value.code == 2  # wrong usage, as argparse has it
    assert "choose from" in capsys.readouterr().err
