"""The tables of ``case.db``: schema, version, migrations, and which rows the journal follows."""

from __future__ import annotations

# "PSMA" in ASCII, in the header of the file: tells a case from any other SQLite database.
APPLICATION_ID = 0x50534D41
SCHEMA_VERSION = 6  # with every new version goes a migration, in case_migrations.py

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
    marked_baseline INTEGER NOT NULL DEFAULT 0 CHECK (marked_baseline IN (0, 1)),
    height_m REAL,
    sex TEXT NOT NULL DEFAULT ''
);
-- Every labels_id, here and below, names a state of the labels: "IMAGE", the automatic result in images/, or
-- "IMAGE@PATCH", that image with the edits up to and including this one of mask_patches. physiology_id: labels of what
-- was taken for physiological; physiology_names: JSON, their values and what they stand for.
CREATE TABLE segmentations (
    study_id INTEGER PRIMARY KEY REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    provenance TEXT NOT NULL,
    removed TEXT NOT NULL,
    created TEXT NOT NULL,
    physiology_id TEXT,
    physiology_names TEXT NOT NULL DEFAULT '{}'
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
-- The regions that a reader chose, tied to masks as decisions are. region: '' where the choice was taken back.
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
-- The lesions of today; decision_id and region_decision_id are the decisions that apply to the lesion today. mask:
-- found automatically and untouched, found and then edited, or made by hand. sources: JSON list of the lesions in the
-- image of labels_id that this one stands for, none for a lesion that was added to it. region ... region_reason: as
-- proposed.
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
    mask TEXT NOT NULL DEFAULT 'automatic' CHECK (mask IN ('automatic', 'corrected', 'drawn')),
    sources TEXT NOT NULL DEFAULT '[]',
    region TEXT NOT NULL DEFAULT '',
    region_site TEXT NOT NULL DEFAULT '',
    region_reason TEXT NOT NULL DEFAULT '',
    region_decision_id INTEGER REFERENCES region_decisions DEFERRABLE INITIALLY DEFERRED,
    probability REAL CHECK (probability BETWEEN 0 AND 1),
    low_evidence INTEGER NOT NULL DEFAULT 0 CHECK (low_evidence IN (0, 1)),
    PRIMARY KEY (study_id, lesion)
) WITHOUT ROWID;
-- The clicks that edited masks, in the order they were made. lesion: the lesion that a click is about today, 0 where it
-- is gone or another edit has overruled the click. threshold_suv: SUVbw, NULL where no threshold decided.
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
-- transform: see transform_text.py.
CREATE TABLE registrations (
    fixed_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    moving_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    transform TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (fixed_id, moving_id)
) WITHOUT ROWID;
-- not_imaged_... and below_detection...: JSON lists of lesions; confluent: JSON list of pairs of such lists.
CREATE TABLE matchings (
    baseline_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    followup_id INTEGER NOT NULL REFERENCES segmentations DEFERRABLE INITIALLY DEFERRED,
    not_imaged_baseline TEXT NOT NULL,
    not_imaged_followup TEXT NOT NULL,
    provenance TEXT NOT NULL,
    created TEXT NOT NULL,
    below_detection TEXT NOT NULL DEFAULT '[]',
    below_detection_before TEXT NOT NULL DEFAULT '[]',
    confluent TEXT NOT NULL DEFAULT '[]',
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
-- the lesions that stand there today, NULL when there is none. gap_mm ... reason: the link as it was decided on; kind
-- and is_primary, here and in links: its part among the links that stood when the tracks were made last.
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
-- parents: JSON list of tracks; parents_since: JSON, for a parent the study from which on it is one.
CREATE TABLE tracks (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    tracking_uid TEXT NOT NULL UNIQUE REFERENCES tracking_uids DEFERRABLE INITIALLY DEFERRED,
    parents TEXT NOT NULL,
    parents_since TEXT NOT NULL DEFAULT '{}'
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
-- What readers decided about a track at one study (at_study_id), tied to the mask of one of its lesions as decisions on
-- links are; lesion is the one that stands there today, NULL when there is none. proposed: the status of the track when
-- it was decided. A comment on the track as a whole has no at_study_id and no status.
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
-- Settings of this case, such as the limits of change of a lesion. value: JSON of a map.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
-- Every Tracking UID ever given, with the mask of the earliest lesion it was given for. Rows are only ever added, and
-- undo leaves them alone: a UID may be in an exported file already.
CREATE TABLE tracking_uids (
    tracking_uid TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    labels_id TEXT NOT NULL,
    lesion INTEGER NOT NULL
) WITHOUT ROWID;
-- Every edit of a mask ever made. Rows are only ever added, and undo leaves them alone: it moves labels_id. parent: the
-- edit before it, NULL for the first one on an image. z ... width: the box in voxels. content: see mask_patch.py.
-- sha256 covers the image, the parent's sha256, box and content, so that it stands for the whole chain of edits.
-- highest: the highest lesion number that this study's labels have ever had.
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
-- What a physician signed: the state of the labels, and all lesions as JSON with measures and decisions of that time.
CREATE TABLE signatures (
    signature INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES studies DEFERRABLE INITIALLY DEFERRED,
    labels_id TEXT NOT NULL,
    lesions TEXT NOT NULL,
    note TEXT NOT NULL,
    user TEXT NOT NULL,
    time TEXT NOT NULL
);
-- What a physician signed as the results of the case. digest: of decisive, the content of the results that a later
-- change is told by; snapshot: all results as they were. Both are JSON, as text or, when long, compressed, see
-- case_sign_offs.py.
CREATE TABLE sign_offs (
    sign_off INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    time TEXT NOT NULL,
    note TEXT NOT NULL,
    digest TEXT NOT NULL,
    decisive TEXT NOT NULL,
    snapshot TEXT NOT NULL
);
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
-- What happened to the case as a whole: exported, imported, brought up to date, lock broken. Rows are only ever added.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    after_step INTEGER NOT NULL
);
-- What the rows that no journal follows must add up to, see case_seal.py.
CREATE TABLE seal (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""

# Tables whose rows the journal follows, with the columns that name a row. All of them are empty in a new case.
JOURNALED: dict[str, tuple[str, ...]] = {
    "studies": ("study_id",),
    "segmentations": ("study_id",),
    "lesion_decisions": ("decision_id",),
    "region_decisions": ("decision_id",),
    "lesions": ("study_id", "lesion"),
    "clicks": ("click_id",),
    "registrations": ("fixed_id", "moving_id"),
    "matchings": ("baseline_id", "followup_id"),
    "links": ("baseline_id", "followup_id", "baseline_lesion", "followup_lesion"),
    "link_decisions": ("decision_id",),
    "tracks": ("number",),
    "track_studies": ("number", "study_id"),
    "track_decisions": ("decision_id",),
    "settings": ("name",),
    "responses": ("followup_id", "criterion"),
    "signatures": ("signature",),
    "sign_offs": ("sign_off",),
}

# Columns that hold the name of a state of labels, which begins with the name of an image in images/. An edit needs its
# image only as long as one of these, or the journal, names the edit.
STATE_COLUMNS: dict[str, tuple[str, ...]] = {
    "segmentations": ("labels_id",),
    "lesion_decisions": ("labels_id",),
    "region_decisions": ("labels_id",),
    "link_decisions": ("from_labels_id", "to_labels_id"),
    "track_decisions": ("from_labels_id",),
    "tracking_uids": ("labels_id",),
    "signatures": ("labels_id",),
}
# The same, and the columns that hold the name of an image.
IMAGE_COLUMNS: dict[str, tuple[str, ...]] = {
    **STATE_COLUMNS,
    "studies": ("emission_id", "ct_id", "organs_id"),
    "segmentations": ("labels_id", "physiology_id"),
}


def image_of(state: str) -> str:
    """The image that a state of labels is based on: "IMAGE" of "IMAGE@PATCH"; an image is its own base."""
    return state.partition("@")[0]


def patch_of(state: str) -> int | None:
    """The number of the last edit in a state of labels; None for an image without edits."""
    number = state.partition("@")[2]
    return int(number) if number else None


def state_of(image_id: str, patch: int | None) -> str:
    """The name of a state of labels. Inverse of ``image_of`` and ``patch_of``."""
    return image_id if patch is None else f"{image_id}@{patch}"
