"""FP16: what fits it is lowered, the rest stays, each with its reason.

`typed` and `origins` say what is there, `stays` and `small` what may not be lowered, `chosen`
what is, `casts` writes it.
"""

from __future__ import annotations

from mmedge.calibration.rewrite.fp16.lower import lower_fp16, values_to_observe

__all__ = ["lower_fp16", "values_to_observe"]
