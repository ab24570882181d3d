"""Why uptake is no lesion, and the names of settings, in the language of the report.

The case keeps both in English, as the segmentation gave them; one that is not known here stays as it is.
"""

from __future__ import annotations

from .i18n import tr


def uptake_reason(reason: str) -> str:
    """A reason such as "left kidney: physiological uptake by an organ map"."""
    whole = _sentences().get(reason)
    if whole is not None:
        return whole
    organ, colon, why = reason.partition(": ")
    return f"{_organ(organ)}{colon}{_sentences().get(why, why)}"


def setting_name(name: str) -> str:
    """The name of a setting for reading, e.g. "minimum volume (mL)" for minimum_volume_ml."""
    known = {
        "threshold": tr("threshold (SUV)"),
        "minimum_volume_ml": tr("minimum volume (mL)"),
        "percent": tr("percent of the SUVmax"),
        "reference": tr("reference organ"),
        "reference_mean": tr("SUVmean of the reference organ"),
        "reference_sd": tr("SD of the reference organ"),
        "rule_set": tr("rule set"),
        "network": tr("network"),
        "organs": tr("organs"),
        "version": tr("version"),
    }
    if name in known:
        return known[name]
    for suffix, unit in (("_ml", " (mL)"), ("_mm", " (mm)")):
        if name.endswith(suffix):
            name = name.removesuffix(suffix) + unit
    return name.replace("_", " ")


def _organ(name: str) -> str:
    for side, text in (("left ", tr("left {organ}")), ("right ", tr("right {organ}"))):
        if name.startswith(side):
            return text.format(organ=_organ(name.removeprefix(side)))
    return {
        "kidney": tr("kidney"),
        "ureter": tr("ureter"),
        "urinary bladder": tr("urinary bladder"),
        "gallbladder": tr("gallbladder"),
        "liver": tr("liver"),
        "spleen": tr("spleen"),
        "salivary gland": tr("salivary gland"),
        "submandibular gland": tr("submandibular gland"),
        "lacrimal gland": tr("lacrimal gland"),
        "pharynx": tr("pharynx"),
        "larynx": tr("larynx"),
        "throat": tr("throat"),
        "thyroid": tr("thyroid"),
        "duodenum": tr("duodenum"),
        "bowel": tr("bowel"),
        "small bowel": tr("small bowel"),
        "colon": tr("colon"),
        "stomach": tr("stomach"),
    }.get(name, name)


def _sentences() -> dict[str, str]:
    return {
        "smaller than the minimum volume": tr("smaller than the minimum volume"),
        "large hot region beside the spine": tr("large hot region beside the spine"),
        "pair of large hot regions beside the spine": tr("pair of large hot regions beside the spine"),
        "largest hot region in the midline of the low pelvis, in front": tr(
            "largest hot region in the midline of the low pelvis, in front"
        ),
        "uptake in the front of the abdomen, before the great vessels": tr(
            "uptake in the front of the abdomen, before the great vessels"
        ),
        "thin upright uptake beside the spine below the kidneys": tr(
            "thin upright uptake beside the spine below the kidneys"
        ),
        "one of a symmetric pair in the head and neck": tr("one of a symmetric pair in the head and neck"),
        "midline uptake in front of and level with the salivary glands": tr(
            "midline uptake in front of and level with the salivary glands"
        ),
    }
