"""Numbers as people read them. None stands for "not known yet" and becomes a dash."""

import math

DASH = "–"


def size(count: float | None) -> str:
    """Bytes: "812 MB", "1.6 GB" (powers of 1000, as disks and model pages count)."""
    if count is None:
        return DASH
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clock(seconds: float | None) -> str:
    """A duration: "2:07", "1:02:07"."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """A duration nobody should read to the second: "40 s", "4 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def ago(seconds: float) -> str:
    """How long since something: "just now", "12 min ago", "3 days ago"."""
    for span, name in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= span:
            count = int(seconds // span)
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''} ago"
    return "just now"


def count(number: float | None) -> str:
    """Tokens and the like: "950", "338k", "1.2M"."""
    if number is None:
        return DASH
    if number < 1000:
        return f"{number:.0f}"
    for unit in ("k", "M", "G"):
        number /= 1000
        if number < 999.5:
            return f"{number:.1f}{unit}" if number < 9.95 else f"{number:.0f}{unit}"
    return f"{number:.0f}T"


def parameters(number: float | None) -> str:
    """Of a model, as they are spoken of: "135M", "8.2B"."""
    return count(number).replace("k", "K").replace("G", "B")


def times(number: float) -> str:
    """How often, where nobody should count on the last digit: "2", "14", "140"."""
    return f"{round(number, -max(0, len(str(round(number))) - 2)):,.0f}"


def rate(number: float | None) -> str:
    """A learning rate without padding zeros: "2e-4", "1.7e-4"."""
    if number is None or not math.isfinite(number):
        return DASH
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def real(number: float | None, digits: int = 2) -> str:
    """A loss: two decimals; NaN said in words."""
    if number is None:
        return DASH
    return f"{number:.{digits}f}" if math.isfinite(number) else "not a number"


def shorten(text: str, width: int) -> str:
    """Cut in the middle, because both ends of a path or model name tell it apart."""
    if len(text) <= width:
        return text
    if width < 2:
        return text[:width]
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def one_line(text: str) -> str:
    return " ".join(text.split())
