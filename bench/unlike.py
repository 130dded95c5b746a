"""Writes challenge files of images that are unlike the calibration's, to measure how often the shift alarm goes off.

Usage: unlike.py VAL OUT, in an environment with numpy, Pillow, scipy, scikit-image, scikit-learn. VAL is ../shared/data/val; every image of it that is taken is
changed. Folders in OUT are the kinds; their structures are the boxes themselves, for nothing but the alarm is measured.
"""

import pathlib
import sys

import numpy as np
import skimage
import sklearn
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

PHOTOS = "astronaut brick camera chelsea clock_motion coffee coins grass gravel horse moon motorcycle_left rocket china flower".split()
WORDS = (
    "the quick brown fox patient report findings impression normal heart size lungs are clear no effusion dated radiology referring doctor signature"
).split()
# Images of val that are changed, evenly spread.
CHANGED = 90

random = np.random.default_rng(0)
out = pathlib.Path(sys.argv[2])


def save(kind, name, image):
    image = np.ascontiguousarray(image.astype(np.uint8))
    height, width = image.shape[:2]
    corners = [width // 4, height // 4, width * 3 // 4, height * 3 // 4]
    structure = np.zeros((height, width), np.uint8)
    structure[corners[1] : corners[3], corners[0] : corners[2]] = 1
    folder = out / kind / kind
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"2DBox_{name}.npz", imgs=image, gts=structure, boxes=np.array([corners], np.int32))


def photographs():
    folders = [pathlib.Path(skimage.__file__).parent / "data", pathlib.Path(sklearn.__file__).parent / "datasets/images"]
    files = [path for folder in folders for path in folder.iterdir()]
    for name in PHOTOS:
        found = [path for path in files if path.stem == name]
        if not found:
            print(f"{name} is not here")
            continue
        photo = Image.open(found[0]).convert("RGB")
        width, height = photo.size
        for number in range(4):
            side = min(width, height) if number == 0 else int(min(width, height) * random.uniform(0.4, 0.8))
            x, y = random.integers(0, width - side + 1), random.integers(0, height - side + 1)
            part = photo.crop((x, y, x + side, y + side)).resize((256, 256), Image.LANCZOS)
            save("photographs", f"{name}{number}", np.array(part if number % 2 == 0 else part.convert("L")))


def text():
    for number in range(30):
        page = Image.new("L", (256, 256), int(random.integers(200, 256)) if number % 3 else 0)
        draw = ImageDraw.Draw(page)
        size = int(random.integers(9, 20))
        font = ImageFont.load_default(size=size)
        for y in range(6, 250, size + 3):
            draw.text((8, y), " ".join(random.choice(WORDS, 8)), fill=0 if number % 3 else 255, font=font)
        save("text", f"{number}", np.array(page.rotate(random.uniform(-3, 3), fillcolor=page.getpixel((1, 1)))))


def nothing():
    for number in range(40):
        sigma = [0, 0, 1, 3, 8][number % 5]
        noise = random.normal(size=(256, 256)) if number % 2 else random.uniform(size=(256, 256))
        noise = gaussian_filter(noise, sigma) if sigma else noise
        save("noise", f"{number}", (noise - noise.min()) / np.ptp(noise) * 255)
    for number in range(20):
        ramp = np.add.outer(np.linspace(0, 120, 256), np.linspace(0, 130, 256) * random.uniform())
        save("even grey and ramps", f"{number}", ramp if number % 2 else np.full((256, 256), int(random.integers(0, 256))))


def changed(val):
    files = sorted(val.glob("*/*/*.npz"))
    for path in (files[at] for at in np.linspace(0, len(files) - 1, CHANGED).round().astype(int)):
        image, name = np.load(path)["imgs"], path.parts[-3] + path.stem
        if image.ndim > 3 or (image.ndim == 3 and image.shape[-1] != 3):
            continue
        save("inverted", name, 255 - image)
        save("turned by 90°", name, np.rot90(image))
        save("turned by 45°", name, np.array(Image.fromarray(image).rotate(45)))
        save("upside down", name, image[::-1])
        height, width = image.shape[0] // 4 * 4, image.shape[1] // 4 * 4
        tiles = [tile for row in np.split(image[:height, :width], 4) for tile in np.split(row, 4, axis=1)]
        tiles = [tiles[at] for at in random.permutation(16)]
        save("16 tiles shuffled", name, np.concatenate([np.concatenate(tiles[at : at + 4], axis=1) for at in range(0, 16, 4)]))


photographs()
text()
nothing()
changed(pathlib.Path(sys.argv[1]))
