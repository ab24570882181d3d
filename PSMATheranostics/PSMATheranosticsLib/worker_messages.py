"""What goes between Slicer and the worker, one JSON object on each line; the docstring of ``worker`` lists them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt


def array_to_json(array: npt.NDArray[np.float32]) -> dict[str, Any]:
    """An array as plain values: its shape, and its bytes (float32, little-endian) as base64."""
    data = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode("ascii")}


def array_from_json(values: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The array that ``array_to_json`` wrote. Raises ValueError where bytes and shape do not agree."""
    data = base64.b64decode(values["float32"], validate=True)
    return np.frombuffer(data, dtype="<f4").reshape([int(size) for size in values["shape"]]).astype(np.float32)


def write_message(stream: TextIO, **message: Any) -> None:
    """Write one message as a line, at once."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()
