"""Codes that the DICOM objects of a case use, each in one place.

Codes without a note stand in the DICOM master dictionary of pydicom (PS3.16), which a test compares them with. RECIP
has a code for the criterion (NCI Thesaurus) and none for its categories; other criteria, lesion status, miPSMA and PSMA
burden have none at all: these are codes of this software, scheme ``99PSMA``. A code that is not found there is left
out, not guessed.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from .nuclides import nuclide_in

# A coding scheme designator holds 16 characters and starts with 99 when it is private (PS3.3 8.2).
PRIVATE_SCHEME = "99PSMA"
PRIVATE_SCHEME_NAME = "PSMATheranostics"

# What a segment is (SEG) and what was found (SR). The software does not tell primary tumor from metastasis.
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")

REGIONS: dict[str, Code] = {
    "prostate": Code("41216001", "SCT", "Prostate"),
    "bone": Code("272673000", "SCT", "Bone"),
    "lymph node": Code("59441001", "SCT", "Lymph Node"),
    "pelvic lymph node": Code("54268001", "SCT", "pelvic lymph node"),
    "liver": Code("10200004", "SCT", "Liver"),
    "lung": Code("39607008", "SCT", "Lung"),
    "adrenal gland": Code("23451007", "SCT", "Adrenal gland"),
}

# CID 7162, how a lesion was delineated.
NEIGHBORHOOD_ANALYSIS = Code("123101", "DCM", "Neighborhood Analysis")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# Quantities, how they are derived from a lesion, methods and units.
VOLUME = Code("118565006", "SCT", "Volume")
SUV_BW = Code("126401", "DCM", "SUVbw")
ACTIVITY_CONCENTRATION = Code("110821", "DCM", "Nuclear Medicine Tomographic Activity")
TL_PSMA = Code("TL-PSMA", PRIVATE_SCHEME, "Total lesion PSMA (volume x SUVmean)")
LESION_ACTIVITY = Code("LESION-ACTIVITY", PRIVATE_SCHEME, "Activity in lesion (volume x mean)")
LESION_COUNT = Code("LESION-COUNT", PRIVATE_SCHEME, "Number of lesions")
MAXIMUM = Code("56851009", "SCT", "Maximum")
MEAN = Code("373098007", "SCT", "Mean")
PEAK = Code("126031", "DCM", "Peak Value Within ROI")
TOTAL = Code("255619001", "SCT", "Total")
VOXEL_SUM = Code("126030", "DCM", "Sum of segmented voxel method for volume")
SUV_BW_METHOD = Code("126410", "DCM", "SUV body weight calculation method")
MEASUREMENT_METHOD = Code("370129005", "SCT", "Measurement Method")
MILLILITER = Code("mL", "UCUM", "milliliter")
SUV_BW_UNIT = Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")
BQ_PER_ML = Code("Bq/ml", "UCUM", "Becquerels/milliliter")
GRAM = Code("g", "UCUM", "gram")
BECQUEREL = Code("Bq", "UCUM", "becquerel")
MEGABECQUEREL = Code("MBq", "UCUM", "megabecquerel")
MINUTE = Code("min", "UCUM", "minute")
DAY = Code("d", "UCUM", "day")
PERCENT = Code("%", "UCUM", "Percent")
NO_UNITS = Code("1", "UCUM", "no units")

# The report, and the scan.
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PET_PROCEDURE = Code("44136-0", "LN", "PET unspecified body region")
NM_PROCEDURE = Code("49118-3", "LN", "NM unspecified body region")
MODALITIES = {
    "PT": Code("PT", "DCM", "Positron emission tomography"),
    "NM": Code("NM", "DCM", "Nuclear Medicine"),
}
MODALITY = Code("121139", "DCM", "Modality")
FRAME_OF_REFERENCE = Code("112227", "DCM", "Frame of Reference UID")
ACQUISITION_DATE = Code("126201", "DCM", "Acquisition Date")
ACQUISITION_TIME = Code("126202", "DCM", "Acquisition Time")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
RADIOPHARMACEUTICAL = Code("123001", "DCM", "Radiopharmaceutical")
RADIONUCLIDE = Code("89457008", "SCT", "Radionuclide")
TOTAL_DOSE = Code("123006", "DCM", "Radionuclide Total Dose")
INCUBATION_TIME = Code("126203", "DCM", "PET Radionuclide Incubation Time")
BASELINE = Code("C1442488", "UMLS", "Baseline")
COMMENT = Code("121106", "DCM", "Comment")

NUCLIDES = {
    "68Ga": Code("35337001", "SCT", "^68^Gallium"),
    "18F": Code("77004003", "SCT", "^18^Fluorine"),
    "177Lu": Code("447553000", "SCT", "^177^Lutetium"),
    "64Cu": Code("3932008", "SCT", "^64^Copper"),
}
# CID 4021, by nuclide and a part of the name in small letters. 177Lu ligands have no code.
_TRACERS = {
    ("68Ga", "psma-11"): Code("C118961", "NCIt", "PSMA-11 Ga^68^"),
    ("68Ga", "psma-617"): Code("126759", "DCM", "PSMA-617 Ga^68^"),
    ("18F", "dcfpyl"): Code("C116352", "NCIt", "Piflufolastat F^18^"),
    ("18F", "piflufolastat"): Code("C116352", "NCIt", "Piflufolastat F^18^"),
    ("18F", "psma-1007"): Code("126758", "DCM", "PSMA-1007 F^18^"),
    ("18F", "fluciclovine"): Code("457000009", "SCT", "Fluciclovine F^18^"),
}

# Response. The criterion's code is of the NCI Thesaurus and not in pydicom's dictionary.
RESPONSE_METHOD = Code("112021", "DCM", "Response Evaluation Method")
CURRENT_RESPONSE = Code("112048", "DCM", "Current Response")
MEASUREMENT_OF_RESPONSE = Code("112051", "DCM", "Measurement of Response")
CRITERIA = {
    "RECIP 1.0": Code("C204131", "NCIt", "RECIP 1.0"),
    "RECIP 1.0 visual": Code("RECIP-VISUAL", PRIVATE_SCHEME, "RECIP 1.0, change judged by eye"),
    "RECIP 1.0 on SPECT": Code("RECIP-SPECT", PRIVATE_SCHEME, "RECIP 1.0 on SPECT, exploratory"),
    "PSA + RECIP 1.0": Code("PSA-RECIP", PRIVATE_SCHEME, "PSA + RECIP 1.0, composite"),
    "PSA + RECIP 1.0 (unverified)": Code("PSA-RECIP-UNVER", PRIVATE_SCHEME, "PSA + RECIP 1.0, unverified rules"),
    "PPP": Code("PPP", PRIVATE_SCHEME, "PSMA PET progression (PPP)"),
    "PCWG4 PSMA PET": Code("PCWG4-PSMA-PET", PRIVATE_SCHEME, "PCWG4, PSMA PET"),
    "PSA (PCWG3)": Code("PCWG3-PSA", PRIVATE_SCHEME, "PCWG3, PSA"),
    "PSA (PCWG3, unverified)": Code("PCWG3-PSA-UNVER", PRIVATE_SCHEME, "PCWG3, PSA, unverified rules"),
}
RESPONSES = {
    "RECIP-CR": Code("RECIP-CR", PRIVATE_SCHEME, "RECIP complete response"),
    "RECIP-PR": Code("RECIP-PR", PRIVATE_SCHEME, "RECIP partial response"),
    "RECIP-SD": Code("RECIP-SD", PRIVATE_SCHEME, "RECIP stable disease"),
    "RECIP-PD": Code("RECIP-PD", PRIVATE_SCHEME, "RECIP progressive disease"),
    "NE": Code("NE", PRIVATE_SCHEME, "Not evaluable"),
}
RESPONSE_STATE = Code("RESPONSE-STATE", PRIVATE_SCHEME, "State of the response")
CANDIDATE = Code("CANDIDATE", PRIVATE_SCHEME, "Candidate, not confirmed by a reader")
CONFIRMED = Code("CONFIRMED", PRIVATE_SCHEME, "Confirmed by a reader")
OVERRIDDEN = Code("OVERRIDDEN", PRIVATE_SCHEME, "Decided by a reader against the rules")
RESPONSE_BY_RULES = Code("BY-RULES", PRIVATE_SCHEME, "Response by the rules of the criterion")
TTV_BEFORE = Code("TTV-BEFORE", PRIVATE_SCHEME, "PSMA-TV at the study compared with")
TTV_AFTER = Code("TTV-AFTER", PRIVATE_SCHEME, "PSMA-TV at the follow-up")

# A lesion over time, and what a reader decided on it.
LESION_STATUS = Code("LESION-STATUS", PRIVATE_SCHEME, "Status of the lesion")
LESION_DECISION = Code("DECISION", PRIVATE_SCHEME, "Decision of the reader")
DECISIONS = {
    "undecided": Code("UNDECIDED", PRIVATE_SCHEME, "Not decided"),
    "accepted": Code("ACCEPTED", PRIVATE_SCHEME, "Accepted as lesion"),
}

# How much PSMA a lesion shows (PROMISE V2).
MI_PSMA = Code("MI-PSMA", PRIVATE_SCHEME, "miPSMA expression score")
MI_PSMA_SCORES = {
    score: Code(f"MI-PSMA-{score}", PRIVATE_SCHEME, f"miPSMA expression score {score}") for score in range(4)
}


def status_code(status: str) -> Code:
    """Code of a lesion status (one of ``status_colors.STATUSES``)."""
    return Code(status.upper().replace(" ", "-"), PRIVATE_SCHEME, f"Lesion {status}")


def tracer_code(tracer: str) -> Code | None:
    """Code of a radiopharmaceutical by nuclide and name as written on the scanner; None where there is none."""
    nuclide = nuclide_in(tracer)
    name = tracer.lower().replace(" ", "-").replace("_", "-")
    return next((code for (isotope, part), code in _TRACERS.items() if isotope == nuclide and part in name), None)


def nuclide_code(tracer: str) -> Code | None:
    """Code of the nuclide that the name of a radiopharmaceutical holds; None where it holds none."""
    return NUCLIDES.get(nuclide_in(tracer) or "")


def method_family(method: str) -> Code:
    """Family (CID 7162) of a segmentation method: rules and clicks lay thresholds and look at neighbors."""
    return ARTIFICIAL_INTELLIGENCE if "net" in method.lower() else NEIGHBORHOOD_ANALYSIS
