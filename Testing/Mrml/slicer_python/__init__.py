"""Small stand-ins for the Python packages of the Slicer application that the slicer-core wheel does not carry.

`install()` makes `slicer.ScriptedLoadableModule`, `slicer.i18n`, `slicer.parameterNodeWrapper` and `slicer.packaging`
importable. They have the names and behaviour of Slicer's for the parts that this project uses, and nothing else.
"""

from __future__ import annotations

import sys

import slicer

from . import i18n, packaging, parameter_node_wrapper, scripted_loadable_module


def install() -> None:
    modules = {
        "ScriptedLoadableModule": scripted_loadable_module,
        "i18n": i18n,
        "packaging": packaging,
        "parameterNodeWrapper": parameter_node_wrapper,
    }
    for name, module in modules.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
