"""A stack of small convolutions in place of CLIP's single patch convolution."""

from torch import Tensor, nn

_CHANNELS = (32, 64, 64, 128, 128)  # of all layers but the last, which has the tower's width
_STRIDES = (2, 2, 1, 2, 1, 2)


class ConvLayer(nn.Module):
    """A 3 x 3 convolution, a batch norm and a ReLU."""

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(num_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return [b, num_out, h / stride, w / stride] from [b, num_in, h, w]."""
        return self.bn(self.conv(x)).relu_()


class LastConv(nn.Module):
    """The convolution that ends the stem, with neither norm nor activation."""

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [b, num_out, h / stride, w / stride] from [b, num_in, h, w]."""
        return self.conv(x)


class ConvStem(nn.Sequential):
    """Pixels [b, 3, s, s] to a grid of patches [b, width, s / 16, s / 16].

    After Xiao et al. 2021, "Early convolutions help transformers see better": such a stem learns to read from far
    fewer pictures than a single convolution.
    """

    def __init__(self, width: int) -> None:
        sizes = (3, *_CHANNELS)
        layers = [ConvLayer(a, b, s) for a, b, s in zip(sizes, _CHANNELS, _STRIDES, strict=False)]
        super().__init__(*layers, LastConv(_CHANNELS[-1], width, _STRIDES[-1]))
