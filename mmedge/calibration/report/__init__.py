"""The page of a calibration: one HTML file with its pictures inside, for any browser.

`page` puts sections together; each section is a file and a function, from what was found to
`markup`. Nothing is loaded from outside and nothing runs.
"""

from __future__ import annotations

from mmedge.calibration.report.page import draw_page
from mmedge.calibration.report.writing import check_page, write_page

__all__ = ["check_page", "draw_page", "write_page"]
