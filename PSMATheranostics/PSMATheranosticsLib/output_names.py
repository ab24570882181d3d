"""What the files are called that a case hands out. It imports nothing, so that ``psma --help`` is there at once."""

REPORT, TABLE, STATISTICS, RESULTS = "report.html", "lesions.csv", "statistics.csv", "results.json"
REPORT_PDF, PAPERS = "report.pdf", ("a4", "letter")
WORKBOOK = "tables.xlsx"
# Kinds of DICOM objects, which are also the names of their folders. The PDF, which takes the whole report to be made,
# is written where it is asked for.
SEG, SR, RWVM, RTSTRUCT, PDF = "seg", "sr", "rwvm", "rtstruct", "pdf"
DICOM_KINDS = (SEG, SR, RWVM, RTSTRUCT)
ALL_DICOM_KINDS = (*DICOM_KINDS, PDF)
# Of `psma evaluate`.
PAIR_FILES = "NAME_suv.nii.gz and NAME_labels.nii.gz, and where there are some NAME_ct.nii.gz and NAME_organs.nii.gz"
