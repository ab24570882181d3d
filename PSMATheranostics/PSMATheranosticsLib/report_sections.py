"""The sections of the report, in their order. Adding one: a class like these in its file, and a line in the table.

The order is that of structured PSMA reports: what was asked and compared, technique, reference regions, findings by
region, numbers, miTNM, response, impression (SPARC: Eur Urol 2025, doi 10.1016/j.eururo.2025.08.005; PROMISE V2:
Seifert et al., Eur Urol 2023;83:405, PMID 36935345; E-PSMA: Ceci et al., Eur J Nucl Med Mol Imaging 2021;48:1626, doi
10.1007/s00259-021-05245-y). That the result stands before all of it at a glance is a choice of this software.
"""

from __future__ import annotations

from .report_cells import ReportSection
from .report_clinical import ClinicalSection, GlanceSection, ReferencesSection, TechniqueSection
from .report_findings import FindingsSection, NumbersSection
from .report_images import ImagesSection, PlotsSection
from .report_lesions import LesionResponseSection, TracksSection
from .report_methods import LimitsSection, MethodsSection, ProvenanceSection
from .report_response import ImpressionSection, ResponseSection, ScoresSection

REPORT_SECTIONS: tuple[ReportSection, ...] = (
    GlanceSection(),
    ClinicalSection(),
    TechniqueSection(),
    ReferencesSection(),
    FindingsSection(),
    NumbersSection(),
    ScoresSection(),
    ResponseSection(),
    ImpressionSection(),
    ImagesSection(),
    PlotsSection(),
    LesionResponseSection(),
    TracksSection(),
    LimitsSection(),
    MethodsSection(),
    ProvenanceSection(),
)
