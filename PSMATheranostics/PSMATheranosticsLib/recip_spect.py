"""RECIP 1.0 on SPECT of the therapy: exploratory.

The thresholds come from PET. On SPECT, visual RECIP after two cycles went along with survival (Gafita et al., ASCO GU
2025, 105 men, meeting report), and a change of tumor volume between doses with PSA-PFS (John et al. 2023, J Nucl Med
64:410-415, doi 10.2967/jnumed.122.264677). Comparing SPECT with nothing but SPECT, at the same time after injection
and with the same reconstruction, is a choice of this software.
"""

from __future__ import annotations

from dataclasses import replace

from .i18n import tr
from .recip import CR, PD, PR, SD, category_notes, decide_by_volumes, volume_response
from .response import Response, ResponseInput
from .response_notes import comparison_notes, modality_problem, time_after_injection_notes


class RecipSpect:
    """RECIP 1.0 by volumes measured on two SPECT of one series; see ``recip.Recip1`` for the table."""

    name = "RECIP 1.0 on SPECT"
    modality = "SPECT"
    categories = (CR, PR, SD, PD)
    enabled = True

    def evaluate(self, inputs: ResponseInput) -> Response:
        """Exploratory candidate category, as by ``Recip1``; ``NE`` unless both scans are known to be SPECT.

        Raises:
            InputError: a volume is negative, infinite or not a number.
        """
        verdict = decide_by_volumes(inputs, modality_problem(inputs, self.modality) or _not_stated(inputs))
        notes = [tr("RECIP on SPECT is exploratory: small new lesions can be missed.")]
        notes += [*category_notes(inputs, verdict), *comparison_notes(inputs)]
        notes += time_after_injection_notes(inputs.baseline, inputs.followup)
        return replace(volume_response(self.name, inputs, verdict, notes), exploratory=True)


def _not_stated(inputs: ResponseInput) -> str:
    stated = all(facts is not None and facts.modality for facts in (inputs.baseline, inputs.followup))
    return "" if stated else tr("the modality of the scans is not known")
