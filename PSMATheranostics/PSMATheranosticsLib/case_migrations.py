"""How a case of an older schema is brought up to date. All of it is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .journal_rows import Row, RowChange, decode, encode

if TYPE_CHECKING:
    from .case_database import Database

_TO_2 = """
ALTER TABLE studies ADD COLUMN height_m REAL;
ALTER TABLE studies ADD COLUMN sex TEXT NOT NULL DEFAULT '';
ALTER TABLE lesions ADD COLUMN
    mask TEXT NOT NULL DEFAULT 'automatic' CHECK (mask IN ('automatic', 'corrected', 'drawn'));
ALTER TABLE lesions ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
UPDATE lesions SET sources = '[' || lesion || ']';
CREATE TABLE mask_patches (
    patch INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    labels_id TEXT NOT NULL,
    parent INTEGER REFERENCES mask_patches DEFERRABLE INITIALLY DEFERRED,
    z INTEGER NOT NULL,
    y INTEGER NOT NULL,
    x INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    action TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX highest_lesions ON mask_patches (fingerprint, highest);
CREATE TABLE signatures (
    signature INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    lesions TEXT NOT NULL,
    note TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    after_step INTEGER NOT NULL
);
CREATE TABLE seal (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""


def _to_2(database: Database) -> None:
    """Edits of masks and signatures; height and sex of a study; where the mask of a lesion comes from."""
    for statement in _TO_2.split(";"):
        database.rows(statement)
    _rewrite_journal(database, {"studies": _study_to_2, "lesions": _lesion_to_2})


def _study_to_2(row: Row) -> Row:
    return {**row, "height_m": None, "sex": ""}


def _lesion_to_2(row: Row) -> Row:
    return {**row, "mask": "automatic", "sources": json.dumps([row["lesion"]])}


_TO_3 = """
ALTER TABLE segmentations ADD COLUMN physiology_id TEXT;
ALTER TABLE segmentations ADD COLUMN physiology_names TEXT NOT NULL DEFAULT '{}';
CREATE TABLE region_decisions (
    decision_id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    lesion INTEGER NOT NULL,
    region TEXT NOT NULL,
    site TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL
);
ALTER TABLE lesions ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE lesions ADD COLUMN region_site TEXT NOT NULL DEFAULT '';
ALTER TABLE lesions ADD COLUMN region_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE lesions ADD COLUMN
    region_decision_id INTEGER REFERENCES region_decisions DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE clicks (
    click_id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    z INTEGER NOT NULL,
    y INTEGER NOT NULL,
    x INTEGER NOT NULL,
    positive INTEGER NOT NULL CHECK (positive IN (0, 1)),
    insist INTEGER NOT NULL CHECK (insist IN (0, 1)),
    lesion INTEGER NOT NULL,
    threshold_suv REAL,
    method TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE INDEX clicks_of_studies ON clicks (study_id, lesion);
"""
_NEW_IN_3 = {
    "segmentations": {"physiology_id": None, "physiology_names": "{}"},
    "lesions": {"region": "", "region_site": "", "region_reason": "", "region_decision_id": None},
}


def _to_3(database: Database) -> None:
    """Regions of lesions, the clicks of readers, and what was taken for physiological."""
    for statement in _TO_3.split(";"):
        database.rows(statement)
    _rewrite_journal(database, {table: partial(_with, new) for table, new in _NEW_IN_3.items()})


_TO_4 = """
ALTER TABLE matchings ADD COLUMN below_detection TEXT NOT NULL DEFAULT '[]';
ALTER TABLE matchings ADD COLUMN below_detection_before TEXT NOT NULL DEFAULT '[]';
ALTER TABLE matchings ADD COLUMN confluent TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tracks ADD COLUMN parents_since TEXT NOT NULL DEFAULT '{}';
CREATE TABLE track_decisions (
    decision_id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    from_labels_id TEXT NOT NULL,
    from_lesion INTEGER NOT NULL,
    lesion INTEGER,
    at_study_id INTEGER REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    status TEXT NOT NULL CHECK (status IN ('', 'confirmed', 'new', 'gone', 'not imaged')),
    proposed TEXT NOT NULL,
    comment TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL,
    CHECK ((at_study_id IS NULL) = (status = '')),
    UNIQUE (study_id, lesion, at_study_id),
    FOREIGN KEY (study_id, lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX track_comments ON track_decisions (study_id, lesion) WHERE at_study_id IS NULL;
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""
_NEW_IN_4: dict[str, Row] = {
    "matchings": {"below_detection": "[]", "below_detection_before": "[]", "confluent": "[]"},
    "tracks": {"parents_since": "{}"},
}


def _to_4(database: Database) -> None:
    """Decisions and comments on tracks, since when a track has a parent, settings, and more of what matching found."""
    for statement in _TO_4.split(";"):
        database.rows(statement)
    _rewrite_journal(database, {table: partial(_with, new) for table, new in _NEW_IN_4.items()})


_TO_5 = """
CREATE TABLE sign_offs (
    sign_off INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    time TEXT NOT NULL,
    note TEXT NOT NULL,
    digest TEXT NOT NULL,
    decisive TEXT NOT NULL,
    snapshot TEXT NOT NULL
);
"""


def _to_5(database: Database) -> None:
    """What physicians signed as the results of the case."""
    for statement in _TO_5.split(";"):
        database.rows(statement)


# Schema 5 said of low evidence only at the beginning of the reason. Probabilities stood there too, but rounded, and not
# in all: they stay unknown.
_LOW_EVIDENCE_IN_5 = "low evidence, to be decided by a reader: "
_TO_6 = f"""
ALTER TABLE lesions ADD COLUMN probability REAL CHECK (probability BETWEEN 0 AND 1);
ALTER TABLE lesions ADD COLUMN low_evidence INTEGER NOT NULL DEFAULT 0 CHECK (low_evidence IN (0, 1));
UPDATE lesions SET low_evidence = 1 WHERE reason GLOB '{_LOW_EVIDENCE_IN_5}*';
"""


def _to_6(database: Database) -> None:
    """What a network says of a lesion: its probability, and whether much speaks against it."""
    for statement in _TO_6.split(";"):
        database.rows(statement)
    _rewrite_journal(database, {"lesions": _lesion_to_6})


def _lesion_to_6(row: Row) -> Row:
    return {**row, "probability": None, "low_evidence": int(row["reason"].startswith(_LOW_EVIDENCE_IN_5))}


def _with(new: Row, row: Row) -> Row:
    return {**row, **new}


def _rewrite_journal(database: Database, new: dict[str, Callable[[Row], Row]]) -> None:
    """Give the rows kept in the journal the new form of their table, or undo would no longer fit."""
    for entry in database.rows("SELECT id, changes FROM journal"):
        before = decode(entry["changes"])
        after = [_rewritten(change, new[change.table]) if change.table in new else change for change in before]
        if after != before:
            database.rows("UPDATE journal SET changes = ? WHERE id = ?", (encode(after), entry["id"]))


def _rewritten(change: RowChange, new: Callable[[Row], Row]) -> RowChange:
    before, after = (None if row is None else new(row) for row in change[1:])
    return RowChange(change.table, before, after)


# What brings a case of version n to n + 1.
MIGRATIONS: dict[int, Callable[[Database], None]] = {1: _to_2, 2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6}
