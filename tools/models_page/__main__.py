"""docs/models.md from the families, the catalogue, the parity results and the code that refuses.

    python -m tools.models_page

A test holds the page to what this gives.
"""

from pathlib import Path

from tools.models_page.page import page

PAGE = Path(__file__).parents[2] / "docs" / "models.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
