"""Two cameras, each a modality of its own, one encoder for both, and mmedge's attention head.

From the repository's root:

    mmedge export examples/two_cameras.py:recipe -o two_cameras.mmedge
    mmedge inspect two_cameras.mmedge

The bundle answers with both cameras or with either. The weights here are random: with
trained ones, add -w FILE, whose keys are encoders.left.*, encoders.right.* and fusion.*
(shared weights may stand in it once).
"""

from __future__ import annotations

import torch

from mmedge import Image, MultiLabel
from mmedge.export import Recipe
from mmedge.models import AttentionFusion, ImageCNN

CAMERA = Image(height=48, width=64, filter="cv2-area", fit="letterbox")
WIDTH = 32


def recipe() -> Recipe:
    torch.manual_seed(0)
    shared = ImageCNN(CAMERA.channels, 8, WIDTH, tokens=True)
    return Recipe(
        modalities={"left": CAMERA, "right": CAMERA},
        encoders={"left": shared, "right": shared},
        fusion=AttentionFusion({"left": WIDTH, "right": WIDTH}, {"alarm": 2}),
        tasks={"alarm": MultiLabel(labels=("person", "vehicle"), thresholds=(0.5, 0.7))},
    )
