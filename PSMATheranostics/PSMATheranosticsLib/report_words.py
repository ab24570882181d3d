"""The fixed words of results, in the language of the report: regions, sites, statuses, classes and categories.

Results hold them in English, because files for programs do; only what is shown is translated. A word that is not known
here (a reader's own site, a category of another criterion) stays as it is.
"""

from __future__ import annotations

from .clinical_model import ScoreResult
from .i18n import tr
from .report_blocks import LegendItem, Span, Swatch
from .response import ResponsePart
from .results_model import ResponseResult
from .status_colors import CLASS_MEANINGS, CLASS_SIGNS, STATUS_LETTERS, STATUS_MEANINGS, class_hex, status_hex

# Edges of cards: what is better, what is neither, what is worse, what cannot be said (Okabe and Ito's colors).
BETTER, NEITHER, WORSE, UNSAID = "#009e73", "#0072b2", "#d55e00", "#777777"


def region(name: str) -> str:
    """A region in which lesions are counted."""
    return {
        "prostate bed": tr("prostate bed"),
        "pelvic node": tr("pelvic node"),
        "distant node": tr("distant node"),
        "bone": tr("bone"),
        "visceral": tr("visceral"),
        "unknown": tr("unknown"),
    }.get(name, name)


def region_heading(name: str) -> str:
    """The same as a heading of findings, in the words of PROMISE."""
    return {
        "prostate bed": tr("Local: prostate or prostate bed"),
        "pelvic node": tr("Locoregional lymph nodes (pelvis)"),
        "distant node": tr("Distant lymph nodes"),
        "bone": tr("Bone"),
        "visceral": tr("Visceral"),
        "unknown": tr("Region not known"),
    }[name]


def site(name: str) -> str:
    """A place within a region as the software proposes it, with its side."""
    for english, translated in (("left ", tr("left {site}")), ("right ", tr("right {site}"))):
        if name.startswith(english):
            return translated.format(site=_sites().get(name.removeprefix(english), name.removeprefix(english)))
    for english, translated in (("vertebra ", tr("vertebra {number}")), ("rib ", tr("rib {number}"))):
        if name.startswith(english):
            return translated.format(number=name.removeprefix(english))
    return _sites().get(name, name)


def _sites() -> dict[str, str]:
    return {
        "spine": tr("spine"),
        "lumbar spine": tr("lumbar spine"),
        "thoracic spine": tr("thoracic spine"),
        "rib": tr("rib"),
        "ribs": tr("ribs"),
        "pelvis": tr("pelvis"),
        "hip bone": tr("hip bone"),
        "sacrum": tr("sacrum"),
        "femur": tr("femur"),
        "humerus": tr("humerus"),
        "scapula": tr("scapula"),
        "clavicle": tr("clavicle"),
        "sternum": tr("sternum"),
        "skull": tr("skull"),
        "shoulder or arm": tr("shoulder or arm"),
        "prostate": tr("prostate"),
        "seminal vesicle": tr("seminal vesicle"),
        "urinary bladder": tr("urinary bladder"),
        "adrenal gland": tr("adrenal gland"),
        "liver": tr("liver"),
        "lung": tr("lung"),
        "spleen": tr("spleen"),
        "kidney": tr("kidney"),
        "brain": tr("brain"),
        "iliac": tr("iliac"),
        "obturator": tr("obturator"),
        "inguinal": tr("inguinal"),
        "common iliac": tr("common iliac"),
        "retroperitoneal": tr("retroperitoneal"),
        "mediastinal or hilar": tr("mediastinal or hilar"),
        "axillary": tr("axillary"),
        "neck or supraclavicular": tr("neck or supraclavicular"),
        "presacral or beside the rectum": tr("presacral or beside the rectum"),
        "beside bladder or rectum": tr("beside bladder or rectum"),
    }


def reference_note(note: str) -> str:
    """What limits a reference region; notes are kept in the case in English."""
    return {
        "The organ was found by its uptake: check its place.": tr(
            "The organ was found by its uptake: check its place."
        ),
    }.get(note, note)


def part(found: ResponsePart) -> str:
    """A finding that a criterion puts together with others."""
    category = {"yes": tr("yes"), "no": tr("no")}.get(found.category, found.category)
    name = tr("PSA rise (PCWG4)") if found.name == "PSA rise (PCWG4)" else found.name
    return f"{name}: {category}"


def reference_region(name: str) -> str:
    """A region in which normal uptake is measured."""
    return {
        "blood pool": tr("blood pool"),
        "liver": tr("liver"),
        "spleen": tr("spleen"),
        "parotid": tr("parotid gland"),
        "left parotid": tr("left parotid gland"),
        "right parotid": tr("right parotid gland"),
    }.get(name, name)


def status(name: str) -> str:
    """What became of a lesion at a study."""
    return {
        "baseline": tr("baseline"),
        "persistent": tr("persistent"),
        "new": tr("new"),
        "gone": tr("gone"),
        "merged": tr("merged"),
        "split": tr("split"),
        "reappeared": tr("reappeared"),
        "not imaged": tr("not imaged"),
        "complex": tr("complex"),
        "below detection": tr("below detection"),
    }.get(name, name)


def status_meaning(name: str) -> str:
    """What a status means, in a few words."""
    return {
        "baseline": tr("there on the first scan of its place"),
        "persistent": tr("goes on from an earlier study"),
        "new": tr("not there on the earlier studies"),
        "gone": tr("no longer found"),
        "merged": tr("now part of another lesion"),
        "split": tr("broke off from another lesion"),
        "reappeared": tr("back after it was gone"),
        "not imaged": tr("its place is outside this scan"),
        "complex": tr("one of several that became several others"),
        "below detection": tr("too small or too faint for this scan"),
    }.get(name, STATUS_MEANINGS[name])


def response_class(name: str) -> str:
    """How a lesion changed from one study to another."""
    return {
        "new": tr("new"),
        "increasing": tr("increasing"),
        "stable": tr("stable"),
        "decreasing": tr("decreasing"),
        "resolved": tr("resolved"),
        "merged": tr("merged"),
        "split": tr("split"),
        "too small": tr("too small"),
        "not imaged": tr("not imaged"),
        "uncertain": tr("uncertain"),
    }.get(name, name)


def class_meaning(name: str) -> str:
    """What a class means, in a few words."""
    return {
        "new": tr("not there on the earlier scan"),
        "increasing": tr("above the limits of repeatability"),
        "stable": tr("within them"),
        "decreasing": tr("below them"),
        "resolved": tr("no longer found"),
        "merged": tr("counted with another lesion, into which it went"),
        "split": tr("counted with the lesion that it broke off from"),
        "too small": tr("too little volume on both scans for a ratio"),
        "not imaged": tr("its place was not imaged on both scans"),
        "uncertain": tr("doubtful link, unclear group or missing measure"),
    }.get(name, CLASS_MEANINGS[name])


def measure(name: str) -> str:
    """A measure of a lesion, by its name in sentences (``repeatability.METRIC_NAMES``)."""
    return tr("volume") if name == "volume" else name


def decision(name: str) -> str:
    """What a reader said about a lesion or a link."""
    return {
        "confirmed": tr("confirmed"),
        "accepted": tr("accepted"),
        "edited": tr("edited"),
        "new": tr("new"),
        "gone": tr("gone"),
        "not imaged": tr("not imaged"),
    }.get(name, name)


def step(name: str) -> str:
    """The step of the work that a warning comes from."""
    return {
        "study": tr("study"),
        "segmentation": tr("segmentation"),
        "registration": tr("registration"),
        "tracking": tr("tracking"),
        "response": tr("response"),
        "decision": tr("decision"),
    }.get(name, name)


def verdict(name: str) -> str:
    """How good a registration is."""
    return {"good": tr("good"), "doubtful": tr("doubtful"), "poor": tr("poor")}.get(name, name)


def category_meaning(category: str) -> str:
    """What a category of RECIP means; "" for those that are words themselves."""
    return {
        "RECIP-CR": tr("complete response"),
        "RECIP-PR": tr("partial response"),
        "RECIP-SD": tr("stable disease"),
        "RECIP-PD": tr("progressive disease"),
        "NE": tr("not evaluable"),
    }.get(category, "")


def category_color(category: str) -> str:
    """The color of the edge of a card: by the letters with which categories of response end."""
    endings = {"CR": BETTER, "PR": BETTER, "PSA50": BETTER, "PSA90": BETTER, "SD": NEITHER, "PD": WORSE}
    return endings.get(category.rpartition("-")[2], WORSE if category.lower() == "progression" else UNSAID)


def standing(response: ResponseResult) -> str:
    """Who answers for a category: nobody yet, a reader who confirmed it, or one who decided otherwise."""
    if response.overridden:
        return tr("decided by {reader}").format(reader=response.confirmed_by or tr("a reader"))
    if response.candidate:
        return tr("candidate")
    return tr("confirmed by {reader}").format(reader=response.confirmed_by)


def unverified(item: ResponseResult | ScoreResult) -> str:
    """The name of a criterion or score, and that it is exploratory or rests on a rule without a source."""
    name = item.criterion if isinstance(item, ResponseResult) else item.name
    if not item.verified:
        return tr("{name} (unverified rule)").format(name=name)
    if isinstance(item, ResponseResult) and item.exploratory and "exploratory" not in name:
        return tr("{name} (exploratory)").format(name=name)
    return name


def status_spans(name: str) -> tuple[Span, ...]:
    """Swatch and word of a status."""
    return (Span(status(name), swatch=Swatch(STATUS_LETTERS[name], status_hex(name)), kept=True),)


def class_spans(name: str) -> tuple[Span, ...]:
    """Swatch and word of a class."""
    return (Span(response_class(name), swatch=Swatch(CLASS_SIGNS[name], class_hex(name)), kept=True),)


def status_item(name: str) -> LegendItem:
    """A status in a legend."""
    return LegendItem(Swatch(STATUS_LETTERS[name], status_hex(name)), status(name), status_meaning(name))


def class_item(name: str) -> LegendItem:
    """A class in a legend."""
    return LegendItem(Swatch(CLASS_SIGNS[name], class_hex(name)), response_class(name), class_meaning(name))
