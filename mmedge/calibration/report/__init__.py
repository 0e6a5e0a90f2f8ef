"""The page of a calibration: one HTML file with its pictures inside, for any browser.

`page` puts sections together; each section is a file and a function, from what was found to
`mmedge.proof.drawing.markup`. Nothing is loaded from outside and nothing runs.
"""

from __future__ import annotations

from mmedge.calibration.report.page import draw_page

__all__ = ["draw_page"]
