"""The tables of ``case.db``: schema, version, migrations, and which rows the journal follows."""

from __future__ import annotations

# "PSMA" in ASCII, in the header of the file: tells a case from any other SQLite database.
APPLICATION_ID = 0x50534D41
SCHEMA_VERSION = 1

# SQL that brings a case of version n to n + 1. A migration that changes a journaled table must also rewrite the rows
# kept in the journal, or undo no longer fits.
MIGRATIONS: dict[int, str] = {}

# Constraints between rows are checked when a step is committed: a step may replace rows in any order.
SCHEMA = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE patient (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    patient_id TEXT NOT NULL,
    name TEXT NOT NULL,
    birth_date TEXT,
    sex TEXT NOT NULL
);
CREATE TABLE studies (
    study_id INTEGER PRIMARY KEY,
    acquired TEXT NOT NULL,
    modality TEXT NOT NULL,
    tracer TEXT NOT NULL,
    emission_id TEXT NOT NULL,
    ct_id TEXT,
    organs_id TEXT,
    organ_names TEXT NOT NULL,
    scaling TEXT NOT NULL,
    origin TEXT NOT NULL,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    injected_activity_mbq REAL,
    minutes_after_injection REAL,
    weight_kg REAL,
    scanner TEXT NOT NULL,
    emission_max REAL NOT NULL,
    warnings TEXT NOT NULL,
    marked_baseline INTEGER NOT NULL DEFAULT 0 CHECK (marked_baseline IN (0, 1))
);
CREATE TABLE segmentations (
    study_id INTEGER PRIMARY KEY REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    provenance TEXT NOT NULL,
    removed TEXT NOT NULL,
    created TEXT NOT NULL
);
-- A decision stays tied to the mask it was made on (labels_id, lesion) whatever is segmented later.
CREATE TABLE lesion_decisions (
    decision_id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    lesion INTEGER NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('undecided', 'accepted', 'rejected')),
    reason TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL
);
-- Automatic results; decision_id is the decision that applies to the lesion today.
CREATE TABLE lesions (
    study_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    lesion INTEGER NOT NULL CHECK (lesion BETWEEN 1 AND 65535),
    voxels INTEGER NOT NULL,
    volume_ml REAL NOT NULL,
    suv_max REAL NOT NULL,
    suv_mean REAL NOT NULL,
    suv_peak REAL NOT NULL,
    tl_psma REAL NOT NULL,
    centroid_x_mm REAL NOT NULL,
    centroid_y_mm REAL NOT NULL,
    centroid_z_mm REAL NOT NULL,
    hottest_x_mm REAL NOT NULL,
    hottest_y_mm REAL NOT NULL,
    hottest_z_mm REAL NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    decision_id INTEGER REFERENCES lesion_decisions DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (study_id, lesion)
) WITHOUT ROWID;
CREATE TABLE registrations (
    fixed_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    moving_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    transform TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (fixed_id, moving_id)
) WITHOUT ROWID;
CREATE TABLE matchings (
    baseline_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    followup_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    not_imaged_baseline TEXT NOT NULL,
    not_imaged_followup TEXT NOT NULL,
    provenance TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (baseline_id, followup_id)
) WITHOUT ROWID;
CREATE TABLE links (
    baseline_id INTEGER NOT NULL,
    followup_id INTEGER NOT NULL,
    baseline_lesion INTEGER NOT NULL,
    followup_lesion INTEGER NOT NULL,
    kind TEXT NOT NULL,
    gap_mm REAL NOT NULL,
    overlap REAL NOT NULL,
    confidence REAL NOT NULL,
    reason TEXT NOT NULL,
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    PRIMARY KEY (baseline_id, followup_id, baseline_lesion, followup_lesion),
    FOREIGN KEY (baseline_id, followup_id) REFERENCES matchings DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (baseline_id, baseline_lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (followup_id, followup_lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
-- Decisions on links keep the masks they were made on (from_... and to_...); baseline_lesion and followup_lesion are
-- the lesions that stand there today, NULL when there is none. kind ... is_primary: the link as it was decided on.
CREATE TABLE link_decisions (
    decision_id INTEGER PRIMARY KEY,
    baseline_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    followup_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    from_labels_id TEXT NOT NULL,
    from_lesion INTEGER NOT NULL,
    to_labels_id TEXT NOT NULL,
    to_lesion INTEGER NOT NULL,
    baseline_lesion INTEGER,
    followup_lesion INTEGER,
    kind TEXT NOT NULL,
    gap_mm REAL NOT NULL,
    overlap REAL NOT NULL,
    confidence REAL NOT NULL,
    reason TEXT NOT NULL,
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    status TEXT NOT NULL CHECK (status IN ('accepted', 'edited', 'rejected')),
    decision_reason TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL,
    UNIQUE (baseline_id, followup_id, baseline_lesion, followup_lesion),
    FOREIGN KEY (baseline_id, baseline_lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (followup_id, followup_lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE tracks (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    tracking_uid TEXT NOT NULL UNIQUE REFERENCES tracking_uids DEFERRABLE INITIALLY DEFERRED,
    parents TEXT NOT NULL
);
CREATE TABLE track_studies (
    number INTEGER NOT NULL REFERENCES tracks DEFERRABLE INITIALLY DEFERRED,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    lesion INTEGER,
    status TEXT,
    PRIMARY KEY (number, study_id),
    UNIQUE (study_id, lesion),
    FOREIGN KEY (study_id, lesion) REFERENCES lesions DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
-- Every Tracking UID ever given, with the mask of the earliest lesion it was given for. Rows are only ever added, and
-- undo leaves them alone: a UID may be in an exported file already.
CREATE TABLE tracking_uids (
    tracking_uid TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    labels_id TEXT NOT NULL,
    lesion INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE responses (
    followup_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    criterion TEXT NOT NULL,
    record TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (followup_id, criterion)
) WITHOUT ROWID;
-- changes: JSON list of [table, row before or null, row after or null] in the order they were made, as text or,
-- when long, compressed with zlib. state_time and state_user: when and by whom the state was set last.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    user TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'undone', 'discarded')),
    state_time TEXT NOT NULL,
    state_user TEXT NOT NULL,
    changes BLOB NOT NULL
);
"""

# Tables whose rows the journal follows, with the columns that name a row. All of them are empty in a new case.
JOURNALED: dict[str, tuple[str, ...]] = {
    "studies": ("study_id",),
    "segmentations": ("study_id",),
    "lesion_decisions": ("decision_id",),
    "lesions": ("study_id", "lesion"),
    "registrations": ("fixed_id", "moving_id"),
    "matchings": ("baseline_id", "followup_id"),
    "links": ("baseline_id", "followup_id", "baseline_lesion", "followup_lesion"),
    "link_decisions": ("decision_id",),
    "tracks": ("number",),
    "track_studies": ("number", "study_id"),
    "responses": ("followup_id", "criterion"),
}

# Columns that hold the name of an image in images/.
IMAGE_COLUMNS: dict[str, tuple[str, ...]] = {
    "studies": ("emission_id", "ct_id", "organs_id"),
    "segmentations": ("labels_id",),
    "lesion_decisions": ("labels_id",),
    "link_decisions": ("from_labels_id", "to_labels_id"),
    "tracking_uids": ("labels_id",),
}
