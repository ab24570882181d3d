"""Why a lesion is in its class, in the language of the report.

``PSMATrackingLib.lesion_response`` gives its reasons in English, because they are results too; here they are told
again. A reason that is not known here stays as it is.
"""

from __future__ import annotations

import re

from .i18n import decimal, tr


def change_reason(reason: str) -> str:
    """A reason of a class, such as "went into another lesion; counted with L13"."""
    return "; ".join(_told(part) for part in reason.split("; "))


def _told(part: str) -> str:
    known = _whole_reasons().get(part)
    if known is not None:
        return known
    for pattern, text in _patterns():
        found = re.fullmatch(pattern, part)
        if found:
            return text.format(**{name: decimal(value) for name, value in found.groupdict().items()})
    return part


def _whole_reasons() -> dict[str, str]:
    return {
        "not there on the earlier scan": tr("not there on the earlier scan"),
        "back, but not there on the earlier scan": tr("back, but not there on the earlier scan"),
        "only a part of the lesions that belong together was imaged on both scans": tr(
            "only a part of the lesions that belong together was imaged on both scans"
        ),
        "no longer found": tr("no longer found"),
        "one of several lesions that became several others": tr("one of several lesions that became several others"),
        "a part of a lesion that broke up": tr("a part of a lesion that broke up"),
        "gone, but a part of it goes on": tr("gone, but a part of it goes on"),
        "went into another lesion": tr("went into another lesion"),
        "its place was not imaged on the earlier scan": tr("its place was not imaged on the earlier scan"),
        "its place was not imaged on the later scan": tr("its place was not imaged on the later scan"),
        "too small or too faint to be seen on the earlier scan": tr(
            "too small or too faint to be seen on the earlier scan"
        ),
        "too small or too faint to be seen on the later scan": tr(
            "too small or too faint to be seen on the later scan"
        ),
    }


def _patterns() -> tuple[tuple[str, str], ...]:
    """Reasons with numbers or names in them, and the same as texts to fill in."""
    number = r"[\d.]+(?:e[+-]?\d+)?"
    return (
        (rf"it had (?P<volume>{number}) mL", tr("it had {volume} mL")),
        (rf"below (?P<volume>{number}) mL on both scans", tr("below {volume} mL on both scans")),
        (r"(?P<measure>\S+) of the earlier scan is 0", tr("{measure} of the earlier scan is 0")),
        (
            r"no lesion on the later scan, and not known to be gone \((?P<told>.+)\)",
            tr("no lesion on the later scan, and not known to be gone ({told})"),
        ),
        *(
            (rf"(?P<change>\S+ x {number}), {side} (?P<low>{number}) to (?P<high>{number}){ending}", text)
            for side, ending, text in _compared(rf", but the link has a confidence of (?P<confidence>{number})")
        ),
        (r"counted with (?P<track>\S+)", tr("counted with {track}")),
        (
            r"compared as sums together with (?P<tracks>.+) \((?P<before>\d+) lesions before, (?P<after>\d+) after\)",
            tr("compared as sums together with {tracks} ({before} lesions before, {after} after)"),
        ),
    )


def _compared(doubtful: str) -> tuple[tuple[str, str, str], ...]:
    """Where a ratio lies, how the reason ends, and the text; ``doubtful`` is the ending for an uncertain link."""
    below, within, above = (
        tr("{change}, below {low} to {high}"),
        tr("{change}, within {low} to {high}"),
        tr("{change}, above {low} to {high}"),
    )
    but = tr("{reason}, but the link has a confidence of {confidence}")
    sides = (("below", below), ("within", within), ("above", above))
    plain = tuple((side, "", text) for side, text in sides)
    return plain + tuple((side, doubtful, but.format(reason=text, confidence="{confidence}")) for side, text in sides)
