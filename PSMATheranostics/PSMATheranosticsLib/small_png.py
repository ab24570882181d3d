"""Images of the report in fewer bytes: a PNG with a palette instead of full colors."""

from __future__ import annotations

import io

COLORS = 256
NEARLY_WHITE = 248  # paper, which the choice of colors may have made a shade darker
_COMPRESSION = 6  # of 9: more takes ten times as long for a tenth less


def small_png(png: bytes) -> bytes:
    """The same image with at most 256 colors, chosen for it; as it was where that is not smaller.

    Gray values and the few colors of outlines and plots stay as they were to the eye; resolution is kept.
    """
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(png))
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    # Of the ways to choose colors this one keeps gray ramps smooth and the colors of thin lines true.
    few = image.convert("RGB").quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette = few.getpalette() or []
    for start in range(0, len(palette), 3):
        if min(palette[start : start + 3]) >= NEARLY_WHITE:
            palette[start : start + 3] = [255, 255, 255]
    few.putpalette(palette)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue() if buffer.tell() < len(png) else png
