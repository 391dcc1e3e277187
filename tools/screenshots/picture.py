"""From what Textual draws to files that a web page shows: SVG to PNG, PNGs to one film."""

import io
import re
from pathlib import Path

FONT = "DejaVu Sans Mono"  # has braille, box drawing and every sign the screen uses
LONGEST_S = 2.5  # a screen on which nothing happens is not shown for longer than this
LAST_S = 5.0


def png(svg: str, width: int) -> bytes:
    """`width` in pixels; the height follows."""
    import resvg_py

    offline = re.sub(r"@font-face\s*{[^}]*}", "", svg).replace("Fira Code", FONT)
    return bytes(resvg_py.svg_to_bytes(svg_string=offline, width=width))


def small_png(svg: str, width: int) -> bytes:
    """With a palette: a third of the size, and nobody sees it on a screen of text."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(png(svg, width))).convert("RGB").quantize(128).save(out, "PNG", optimize=True)
    return out.getvalue()


def write_film(frames: list[tuple[float, str]], width: int, place: Path) -> None:
    """A GIF. `frames`: (seconds since the beginning, SVG), in order; equal neighbours count as one."""
    from PIL import Image

    kept = [frame for before, frame in zip([(0.0, ""), *frames], frames, strict=False) if frame[1] != before[1]]
    ends = [at for at, _ in kept[1:]] + [kept[-1][0] + LAST_S]
    lasting = [min(end - at, LONGEST_S if end != ends[-1] else LAST_S) for (at, _), end in zip(kept, ends, strict=True)]
    pictures = [Image.open(io.BytesIO(png(svg, width))).convert("RGB") for _, svg in kept]
    palette = pictures[-1].quantize(64)
    drawn = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(1000 * seconds) for seconds in lasting]
    drawn[0].save(place, save_all=True, append_images=drawn[1:], duration=durations, loop=0, optimize=True)
