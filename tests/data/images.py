"""Makes tests/data/images/ and what PIL makes of it: pip install pillow==13.0.0; python tests/data/images.py

Two tiny pictures with edges, gradients and noise, and their pixels after what torchvision's Resize, CenterCrop and
Grayscale do through PIL: convert("RGB" or "L"), resize with BILINEAR (which has antialiasing), crop.
"""

import json
import random
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "images"


def picture(width: int, height: int, seed: int) -> Image.Image:
    draw = random.Random(seed)

    def pixel(x: int, y: int) -> tuple[int, int, int]:
        stripe = 255 if (x // 3 + y // 4) % 2 else 20
        return (255 * x // (width - 1), stripe, min(255, 10 * y + draw.randrange(60)))

    image = Image.new("RGB", (width, height))
    image.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    return image


def cover(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Width and height that just cover the frame."""
    (width, height), (columns, rows) = size, frame
    if rows * width >= columns * height:
        return (width * rows // height, rows)
    return (columns, height * columns // width)


def shorter(size: tuple[int, int], side: int) -> tuple[int, int]:
    """As torchvision's Resize(side)."""
    width, height = size
    return (side, side * height // width) if width <= height else (side * width // height, side)


def crop(image: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """As torchvision's CenterCrop."""
    left = int(round((image.width - frame[0]) / 2.0))
    top = int(round((image.height - frame[1]) / 2.0))
    return image.crop((left, top, left + frame[0], top + frame[1]))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    picture(23, 17, 1).save(FOLDER / "wide.png", optimize=True)
    picture(18, 31, 2).save(FOLDER / "tall.jpg", quality=90, subsampling=0)
    cases = []
    for name in ["wide.png", "tall.jpg"]:
        for mode, frame, resize in [
            ("RGB", (8, 8), None),
            ("RGB", (8, 8), 11),
            ("RGB", (9, 6), None),
            ("RGB", (40, 32), None),
            ("L", (8, 8), None),
            ("L", (10, 10), 13),
        ]:
            image = Image.open(FOLDER / name).convert(mode)
            size = shorter(image.size, resize) if resize else cover(image.size, frame)
            image = crop(image.resize(size, Image.Resampling.BILINEAR), frame)
            # Row by row, the channels of a pixel together.
            pixels = list(image.tobytes())
            cases.append({"file": name, "mode": mode, "width": frame[0], "height": frame[1], "resize": resize, "pixels": pixels})
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (FOLDER / "reference.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
