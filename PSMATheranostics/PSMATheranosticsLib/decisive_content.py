"""The content of results that a signature is about, as plain data, and what differs between two of them in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .i18n import tr
from .reader_statement import ReaderStatement
from .results_model import LesionResult, Results, StudyResult, TrackResult, plain_value

if TYPE_CHECKING:
    from .case_store import CaseStore

Content = Mapping[str, Any]

FORM = 1  # of this content: one of another form cannot be compared with it
_NAMED = 5  # tracks or days that a sentence names before it counts the rest


def decisive_content(case: CaseStore, results: Results) -> dict[str, Any]:
    """What of ``results`` a signature is about. JSON gives it back as it is: keys are text, numbers have 12 digits.

    Texts that explain, times of making, and which lesions were reviewed are left out; of new lesions it counts.
    """
    return {
        "form": FORM,
        "criterion": results.responses[0].criterion if results.responses else "",
        "baseline": str(results.baseline_id),
        "studies": {str(study.study_id): _study(case, study) for study in results.studies},
        "tracks": {track.label: _track(track) for track in results.tracks},
        "responses": _responses(results),
        "statements": _statements(case),
        "psa": {str(value.day): [_number(value.ng_ml), value.below_limit] for value in results.psa},
        "clinical": plain_value(results.clinical),
    }


def differences(signed: Content, today: Content) -> tuple[str, ...]:
    """What is different today, one sentence each; () where nothing is."""
    if signed == today:
        return ()
    if signed.get("form") != today["form"]:
        return (tr("The results were signed with another version of the software: compare and sign them again."),)
    return tuple(_differences(signed, today))


def _study(case: CaseStore, study: StudyResult) -> dict[str, Any]:
    segmentation = case.segmentation(study.study_id)
    return {
        "label": study.label,
        "read": [study.acquired.isoformat(), study.tracer, study.scaling.quantity, _number(study.scaling.factor)],
        "labels": "" if segmentation is None else segmentation.labels_id,
        "psma_tv_ml": None if study.totals is None else _number(study.totals.psma_tv_ml),
        "lesions": {str(lesion.lesion): _lesion(lesion) for lesion in study.lesions},
        "scores": {score.name: _number(score.number) for score in study.scores if score.number is not None},
    }


def _lesion(lesion: LesionResult) -> list[Any]:
    """Track, region, novelty and, where it is new, whether it was reviewed; miPSMA score; then the measures."""
    measures = lesion.measures
    return [
        lesion.track,
        lesion.region.name,
        lesion.region.site,
        lesion.new_since_baseline,
        bool(lesion.new_since_baseline) and lesion.reviewed,
        lesion.mi_psma,
        *(_number(getattr(measures, name)) for name in ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tl_psma")),
    ]


def _track(track: TrackResult) -> dict[str, Any]:
    return {str(cell.study_id): [cell.lesion, cell.status, cell.response, cell.decision] for cell in track.cells}


def _responses(results: Results) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for response in (*results.responses, *results.other_responses):
        found.setdefault(str(response.followup_id), {})[response.criterion] = response.category
    return found


def _statements(case: CaseStore) -> dict[str, dict[str, Any]]:
    """What readers state, by study and criterion. A statement that was taken back is none."""
    found: dict[str, dict[str, Any]] = {}
    for stored in case.responses():
        said = replace(ReaderStatement.from_dict(stored.record), confirmed_at=None)
        if said != ReaderStatement():
            found.setdefault(str(stored.followup_id), {})[stored.criterion] = said.to_dict()
    return found


def _number(value: float) -> float:
    return float(f"{value:.12g}")


def _differences(signed: Content, today: Content) -> Iterator[str]:
    labels = {study: said["label"] for content in (signed, today) for study, said in content["studies"].items()}
    for study in sorted(labels, key=int):
        before, after = signed["studies"].get(study), today["studies"].get(study)
        if before is None:
            yield tr("{study} was added.").format(study=labels[study])
        elif after is None:
            yield tr("{study} is not in the case any more.").format(study=labels[study])
        elif before != after:
            yield from _study_differences(labels[study], before, after)
    if signed["baseline"] != today["baseline"]:
        text = tr("{after} is the baseline now, it was {before}.")
        yield text.format(after=_dated(today, today["baseline"]), before=_dated(today, signed["baseline"]))
    if signed["criterion"] != today["criterion"]:
        text = tr("The main criterion is {after} now, it was {before}.")
        yield text.format(after=today["criterion"] or tr("none"), before=signed["criterion"] or tr("none"))
    tracks = _changed(signed["tracks"], today["tracks"])
    if tracks:
        yield tr("Tracks were changed: {tracks}.").format(tracks=_named(tracks))
    yield from _category_differences(labels, signed["responses"], today["responses"])
    for study in sorted(_changed(signed["statements"], today["statements"]), key=int):
        yield tr("What was stated, confirmed or overridden about {study} was changed.").format(study=labels[study])
    days = _changed(signed["psa"], today["psa"])
    if days:
        yield tr("PSA values were changed: {days}.").format(days=_named(sorted(days)))
    if signed["clinical"] != today["clinical"]:
        yield tr("The clinical facts were changed.")


def _study_differences(label: str, before: Content, after: Content) -> Iterator[str]:
    if before["read"] != after["read"]:
        yield tr("{study} was read again with other values.").format(study=label)
    if before["psma_tv_ml"] != after["psma_tv_ml"]:
        text = tr("PSMA-TV of {study} is {after} now, it was {before}.")
        earlier, later = _volumes(before["psma_tv_ml"], after["psma_tv_ml"])
        yield text.format(study=label, before=earlier, after=later)
    if before["lesions"] != after["lesions"]:
        text = tr("Lesions of {study}: {added} added, {removed} no longer counted, {changed} changed.")
        there = set(before["lesions"]) & set(after["lesions"])
        yield text.format(
            study=label,
            added=len(set(after["lesions"]) - there),
            removed=len(set(before["lesions"]) - there),
            changed=sum(before["lesions"][lesion] != after["lesions"][lesion] for lesion in there),
        )
    elif before["labels"] != after["labels"]:
        yield tr("The outlines of the lesions of {study} were edited.").format(study=label)
    if before["label"] != after["label"]:
        yield tr("{before} is {after} now.").format(before=before["label"], after=after["label"])
    scores = _changed(before["scores"], after["scores"])
    if scores:
        yield tr("Scores of {study} were changed: {scores}.").format(study=label, scores=_named(sorted(scores)))


def _category_differences(labels: Mapping[str, str], before: Content, after: Content) -> Iterator[str]:
    for study in sorted(_changed(before, after), key=int):
        earlier, later = before.get(study, {}), after.get(study, {})
        for criterion in _changed(earlier, later):
            text = tr("{criterion} of {study} is {after} now, it was {before}.")
            yield text.format(
                criterion=criterion,
                study=labels[study],
                before=earlier.get(criterion, tr("not given")),
                after=later.get(criterion, tr("not given")),
            )


def _changed(before: Content, after: Content) -> list[str]:
    """The keys under which the two differ, in the order of the first and then of the second."""
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return (
        shown if len(names) <= _NAMED else tr("{names} and {count} more").format(names=shown, count=len(names) - _NAMED)
    )


def _volumes(*volumes_ml: float | None) -> list[str]:
    """Volumes with as many digits as tell them apart, at least two."""
    for digits in range(2, 12):
        told = [tr("not measured") if volume is None else f"{volume:.{digits}f} mL" for volume in volumes_ml]
        if len(set(told)) == len(set(volumes_ml)):
            break
    return told


def _dated(content: Content, study: str) -> str:
    """The day of a study, which stays when labels change."""
    known = content["studies"].get(study)
    return tr("none") if known is None else tr("the study of {day}").format(day=known["read"][0][:10])
