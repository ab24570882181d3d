"""What the classes of a model stand for: lesion, physiological uptake, or neither."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PSMASegmentLib.organ_names import physiological_organ

_LESION_WORDS = r"lesions?|tumou?rs?|metasta\w*|cancers?|malign\w*|ttb"
_PHYSIOLOGICAL_WORDS = r"physiolog\w*|normal|benign"
_LARGEST_CLASS = 255  # labels are stored in a byte


@dataclass(frozen=True)
class ClassMap:
    """The declared meaning of a model's classes; 0 is background.

    ``lesion`` are the classes that are lesions, ``physiological`` those in which uptake is physiological, with what
    they are ({3: "liver"}), ``ignored`` all others, such as a prostate or a bone, in which uptake may be anything.
    """

    lesion: tuple[int, ...]
    physiological: Mapping[int, str] = field(default_factory=dict)
    ignored: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``read_class_map`` takes them."""
        return {
            "lesion": list(self.lesion),
            "physiological": {str(value): name for value, name in self.physiological.items()},
            "ignored": list(self.ignored),
        }


DECLARED: dict[str, ClassMap] = {
    "lion-psma": ClassMap((6,), {value: f"physiological uptake (class {value})" for value in range(1, 6)}),
    "lesiontracer": ClassMap((1,)),
}
"""Maps of published models by name.

lion-psma: LION (Shiyam Sundar and others, github.com/LalithShiyam/LION), PSMA model: class 6 is tumor, 1 to 5 are
organs with physiological uptake. lesiontracer: LesionTracer (MIC-DKFZ, autoPET III): class 1 is lesion; its organ heads
are not part of the network as it is run here.
"""


def read_class_map(values: object, classes: Iterable[int], names: Mapping[int, str] | None = None) -> ClassMap:
    """The map that a name of ``DECLARED`` or a declaration stands for, checked against the classes of a model.

    A declaration is ``{"lesion": [6], "physiological": {"1": "liver"}, "ignored": [2]}``. Each class of the model but 0
    has to be in one of the three, once. ``names`` are what the model itself calls its classes; they take the place of
    the names in a map of ``DECLARED``. Raises ValueError that says what is missing or twice.
    """
    if isinstance(values, str):
        if values not in DECLARED:
            raise ValueError(f'There is no class map "{values}". Known: {", ".join(DECLARED)}; or declare one.')
        known = DECLARED[values]
        called = {value: (names or {}).get(value, name) for value, name in known.physiological.items()}
        found = ClassMap(known.lesion, called, known.ignored)
    else:
        found = _parsed(values)
    _check(found, classes)
    return found


def class_map_from_names(names: Mapping[int, str]) -> ClassMap:
    """The map that the names of a model's classes tell; for models that name them in plain words.

    Raises ValueError where no name says lesion, tumor, metastasis or cancer.
    """
    lesion, physiological, ignored = [], {}, []
    for value, name in sorted(names.items()):
        if value == 0:
            continue
        words = re.sub(r"[^a-z]+", " ", name.lower())
        organ = physiological_organ(name)
        if organ is not None:
            physiological[value] = organ
        elif re.search(rf"\b({_PHYSIOLOGICAL_WORDS})\b", words):
            physiological[value] = name
        elif re.search(rf"\b({_LESION_WORDS})\b", words):
            lesion.append(value)
        else:
            ignored.append(value)
    if not lesion:
        told = ", ".join(f"{value} {name}" for value, name in sorted(names.items()))
        raise ValueError(
            f"None of the classes of this model is called a lesion ({told}). Declare what they are: class_map, such as "
            '{"lesion": [1], "physiological": {"2": "liver"}, "ignored": [3]}.'
        )
    found = ClassMap(tuple(lesion), physiological, tuple(ignored))
    _check(found, names)
    return found


def _parsed(values: object) -> ClassMap:
    """A declaration as a map; ValueError for anything that is none."""
    keys = ("lesion", "physiological", "ignored")
    if not isinstance(values, Mapping) or not set(values) <= set(keys):
        raise ValueError(f"A class map is declared by {', '.join(keys)}, not by {values!r}.")
    try:
        named = {int(value): str(name) for value, name in dict(values.get("physiological", {})).items()}
        lesion, ignored = ([int(v) for v in values.get(key, ())] for key in ("lesion", "ignored"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"The class map {values!r} cannot be read ({error}); classes are whole numbers.") from error
    return ClassMap(tuple(lesion), named, tuple(ignored))


def _check(found: ClassMap, classes: Iterable[int]) -> None:
    given = [*found.lesion, *found.physiological, *found.ignored]
    expected = set(classes) - {0}
    twice = sorted({value for value in given if given.count(value) > 1})
    strange, missing = sorted(set(given) - expected), sorted(expected - set(given))
    if twice or strange or missing or not found.lesion or max(expected) > _LARGEST_CLASS:
        said = [
            f"{what}: {', '.join(map(str, which))}"
            for what, which in (("declared twice", twice), ("not in the model", strange), ("not declared", missing))
            if which
        ]
        raise ValueError(
            f"The class map does not fit the model, whose classes are {', '.join(map(str, sorted(expected)))}: "
            + ("; ".join(said) or "no class is a lesion, or a class is above 255")
            + ". Declare each class but 0 once, as lesion, physiological or ignored."
        )
