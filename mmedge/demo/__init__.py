"""The demo: digits that are seen, heard and hinted at, from trained weights to predictions.

``ORIGINS.md`` beside this file says where its data come from and under which licences.
"""

from __future__ import annotations

from mmedge.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
