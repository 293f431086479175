"""What the authors' code for ImageNet-C and CIFAR-10-C makes of one image: writes corruptions_reference.json.

    git clone https://github.com/hendrycks/robustness
    pip install imagecorruptions opencv-python-headless "setuptools<81"
    python tests/data/make_corruptions_reference.py robustness

The functions run as they are in the checkout (commit 8190fe3). Where they call what today's libraries no longer have, a
stand-in is put under them: ImageMagick's motion blur is imagecorruptions' `_motion_blur`, renamed arguments of NumPy,
SciPy and scikit-image get their present names.

Deterministic kinds: values at some places. Random kinds: over many draws, of the change (corrupted - clean, white
being 1), the mean, the mean square, and the product with the change one pixel to the right as a share of the mean
square; each with its standard error.
"""

import json
import math
import os
import random
import sys
import types
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import scipy.ndimage
import skimage.filters
from PIL import Image

CHECKOUT = Path(sys.argv[1]).resolve()
FROST = CHECKOUT / "ImageNet-C" / "create_c"
DRAWS = {32: 200, 224: 12}
PLACES = 40

KINDS = {
    "brightness": "brightness",
    "contrast": "contrast",
    "defocus-blur": "defocus_blur",
    "elastic-transform": "elastic_transform",
    "fog": "fog",
    "frost": "frost",
    "gaussian-noise": "gaussian_noise",
    "glass-blur": "glass_blur",
    "impulse-noise": "impulse_noise",
    "jpeg-compression": "jpeg_compression",
    "motion-blur": "motion_blur",
    "pixelate": "pixelate",
    "shot-noise": "shot_noise",
    "snow": "snow",
    "zoom-blur": "zoom_blur",
}
DETERMINISTIC = {"brightness", "contrast", "defocus-blur", "jpeg-compression", "pixelate", "zoom-blur"}
ABSENT = ["wand", "wand.image", "wand.api", "wand.color", "torch", "torch.utils", "torch.utils.data", "torchvision",
          "torchvision.datasets", "torchvision.transforms"]
ANGLE = 30.0


def picture(side):
    """Shades, squares and grain; whole numbers, so that the test makes the same."""
    row, column, channel = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    shade = 20 + 100 * row // side + 40 * column // side
    squares = 60 * ((row // 8 + column // 8) % 2)
    grain = (7 * row * row + 13 * column * column + 5 * row * column + 11 * channel) % 37
    return (shade + squares + grain - 25 * channel).clip(0, 255).astype(np.uint8)


class StillMagick:
    """ImageMagick's image, as far as the corruptions use it."""

    def __init__(self, blob):
        self.pixels = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_UNCHANGED)

    def motion_blur(self, radius, sigma, angle):
        blurred = motion(self.pixels.astype(np.float64), radius=radius, sigma=sigma, angle=angle)
        self.pixels = np.round(blurred).clip(0, 255).astype(np.uint8)

    def make_blob(self):
        return cv2.imencode(".png", self.pixels)[1].tobytes()


def modernise():
    """Names that the checkout expects."""
    np.float_ = np.float64
    np.fromstring = lambda data, dtype: np.frombuffer(data, dtype)
    old = types.ModuleType("scipy.ndimage.interpolation")
    old.map_coordinates = scipy.ndimage.map_coordinates
    sys.modules["scipy.ndimage.interpolation"] = old
    resources = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda _, name: str(FROST / Path(name).name)
    sys.modules["pkg_resources"] = resources
    present = skimage.filters.gaussian

    def gaussian(image, sigma, multichannel=False, **more):
        colour = multichannel and np.ndim(image) == 3
        return present(image, sigma, channel_axis=-1 if colour else None, **more)

    skimage.filters.gaussian = gaussian
    fromarray = Image.fromarray
    Image.fromarray = lambda array, mode=None: fromarray(array)


def load(path):
    """The corruptions that a file of the checkout defines."""
    text = (CHECKOUT / "ImageNet-C" / path).read_text().split("import collections")[0]
    space = {"__name__": "corruptions"}
    # Not needed for the corruptions themselves.
    absent = {name: mock.MagicMock() for name in ABSENT}
    absent["wand.image"].Image = object
    with mock.patch.dict(sys.modules, absent):
        exec(compile(text, path, "exec"), space)
    space["MotionImage"] = StillMagick
    return space


def run(space, kind, severity, pixels, seed):
    function = space[KINDS[kind]]

    np.random.seed(seed)
    return np.asarray(function(Image.fromarray(pixels), severity), dtype=np.float64) / 255


def statistics(space, kind, severity, pixels, draws):
    clean = pixels / 255
    rows = []
    for seed in range(draws):
        change = run(space, kind, severity, pixels, seed) - clean
        square = (change**2).mean()
        beside = (change[:, :-1] * change[:, 1:]).mean() / max(square, 1e-12)
        rows.append([change.mean(), square, beside])
    rows = np.array(rows)
    means, errors = rows.mean(axis=0), rows.std(axis=0, ddof=1) / math.sqrt(draws)
    names = ["mean", "square", "beside"]
    return {name: [float(f"{m:.6g}"), float(f"{e:.3g}")] for name, m, e in zip(names, means, errors)}


def main():
    modernise()
    global motion
    from imagecorruptions.corruptions import _motion_blur as motion

    os.chdir(FROST)
    exact, random_kinds = [], []
    for name, path, side in [("cifar", "create_c/make_cifar_c.py", 32),
                             ("imagenet", "imagenet_c/imagenet_c/corruptions.py", 224)]:
        space, pixels = load(path), picture(side)
        chosen = random.Random(side).sample(range(pixels.size), PLACES)
        # Every border and corner is worth a look.
        chosen[:4] = [0, 3 * side - 1, pixels.size - 3 * side, pixels.size - 1]
        for kind in KINDS:
            for severity in range(1, 6):
                at = {"set": name, "kind": kind, "severity": severity}
                fixed = kind in DETERMINISTIC
                if fixed or kind == "motion-blur":
                    with mock.patch("numpy.random.uniform", return_value=ANGLE):
                        values = run(space, kind, severity, pixels, 0).reshape(-1)[chosen]
                    exact.append({**at, "places": chosen, "values": [float(f"{v:.6g}") for v in values]})
                if not fixed:
                    drawn = statistics(space, kind, severity, pixels, DRAWS[side])
                    random_kinds.append({**at, "draws": DRAWS[side], **drawn})
                print(name, kind, severity, file=sys.stderr)
    lines = lambda rows: ",\n".join(json.dumps(row) for row in rows)
    out = Path(__file__).resolve().parent / "corruptions_reference.json"
    out.write_text(f'{{"angle": {ANGLE},\n"exact": [\n{lines(exact)}\n],\n"random": [\n{lines(random_kinds)}\n]}}\n')


if __name__ == "__main__":
    main()
