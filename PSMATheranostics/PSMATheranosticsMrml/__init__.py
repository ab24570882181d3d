"""What the three PSMA modules share inside Slicer: nodes of a case, views, tables, plots and the background program.

This package imports slicer, vtk and qt and speaks their camelCase; the algorithms are in the Lib packages, which know
nothing of Slicer. MRML is RAS, the Libs are LPS: the conversion stands in ``volumes`` and nowhere else.
"""
