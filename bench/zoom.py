"""Whether a crop around a small box is worth an encode of its own: DSC and NSD of boxes in the whole image and in a crop, by the box's share of the image.

Usage: zoom.py UMEDSAM WEIGHTS.safetensors DATA_FOLDER CONTEXT…, in an environment with numpy. DATA_FOLDER holds 2D challenge cases; at most four boxes of an
image are looked at, whose longer side is at most 35 % of the image's. CONTEXT is the crop's side as a multiple of the box's longer side.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

LARGEST_SHARE = 0.35
STEP = 0.05
BOXES = 4
SMALLEST_CROP = 16


def save(folder, name, image, mask, box):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", imgs=image, gts=mask, boxes=np.array([box], dtype=np.int32))


def crop(image, mask, box, context):
    """The part of the image around a box, and the box in it."""
    height, width = mask.shape
    x0, y0, x1, y1 = box
    half = max((max(x1 - x0, y1 - y0) + 1) * context, SMALLEST_CROP) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(width, int(x + half) + 1), min(height, int(y + half) + 1)
    return image[top:bottom, left:right], mask[top:bottom, left:right], [x0 - left, y0 - top, x1 - left, y1 - top]


def prepare(data, out, contexts):
    """One case per box, whole and cropped; returns each box's share of the image."""
    shares = {}
    for path in sorted(data.rglob("*.npz")):
        case = np.load(path)
        image, labels, boxes = case["imgs"], case["gts"], case["boxes"]
        count = min(len(boxes), BOXES)
        for index in (place * len(boxes) // count for place in range(count)):
            box = [int(side) for side in boxes[index]]
            share = (max(box[2] - box[0], box[3] - box[1]) + 1) / max(labels.shape)
            mask = (labels == index + 1).astype(np.uint8)
            if share > LARGEST_SHARE or not mask.any():
                continue
            name = f"2DBox_{path.parent.name}_{path.stem}_{index}"
            shares[name] = share
            save(out / "whole", name, image, mask, box)
            for context in contexts:
                save(out / f"{context}", name, *crop(image, mask, box, context))
    return shares


def scores(umedsam, weights, folder):
    report = folder.with_suffix(".json")
    arguments = ["--data", folder, "--report", report, "--uncertainty", "none", "--uncalibrated"]
    subprocess.run([umedsam, "eval", "--weights", weights, *arguments], check=True, stdout=subprocess.DEVNULL)
    cases = json.loads(report.read_text())["cases"]
    return {Path(case["case"]).stem: (100 * case["dsc"], 100 * case["nsd"]) for case in cases}


def main():
    umedsam, weights, data = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    contexts = [float(context) for context in sys.argv[4:]] or [2.0, 3.0]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        shares = prepare(data, out, contexts)
        folders = ["whole", *(f"{context}" for context in contexts)]
        found = {folder: scores(umedsam, weights, out / folder) for folder in folders}
    print("| box's share | boxes |", " | ".join(folders), "|")
    for low in np.arange(0, LARGEST_SHARE, STEP):
        names = [name for name, share in shares.items() if low <= share < low + STEP and all(name in f for f in found.values())]
        if names:
            means = [np.mean([found[folder][name] for name in names], axis=0) for folder in folders]
            cells = " | ".join(f"{dsc:.2f} / {nsd:.2f}" for dsc, nsd in means)
            print(f"| {100 * low:.0f}–{100 * (low + STEP):.0f} % | {len(names)} | {cells} |")


if __name__ == "__main__":
    main()
