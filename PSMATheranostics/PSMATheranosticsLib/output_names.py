"""What the files are called that a case hands out. It imports nothing, so that ``psma --help`` is there at once."""

REPORT, TABLE, STATISTICS, RESULTS = "report.html", "lesions.csv", "statistics.csv", "results.json"
RESPONSE = "lesion_response.csv"
# Kinds of DICOM objects, which are also the names of their folders.
SEG, SR, RWVM, RTSTRUCT = "seg", "sr", "rwvm", "rtstruct"
DICOM_KINDS = (SEG, SR, RWVM, RTSTRUCT)
# Of `psma evaluate`.
PAIR_FILES = "NAME_suv.nii.gz and NAME_labels.nii.gz, and where there are some NAME_ct.nii.gz and NAME_organs.nii.gz"
