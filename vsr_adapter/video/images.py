"""Image files, at the depth and with the alpha that they have."""

from pathlib import Path

import cv2
import numpy as np

from vsr_adapter.errors import UserError


def read_pixels(path: Path) -> np.ndarray:
    """An image as RGB or RGBA of 8 or 16 bits, shape (H, W, 3 or 4); turned as its EXIF entry says, where it has one.

    Raises:
        UserError: not an image, or one of floats.
    """
    content = np.fromfile(path, np.uint8)  # cv2.imread cannot open every name that the file system has
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None:
        raise UserError(f"{path}: cannot be read as an image; check that it opens")
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: {image.dtype} pixels, must be 8 or 16 bits; convert it")
    if image.ndim == 3 and image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH), cv2.COLOR_BGR2RGB)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """RGB or RGBA of 8 or 16 bits, shape (H, W, 3 or 4), as a PNG.

    Raises:
        UserError: it cannot be written.
    """
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    try:
        path.write_bytes(cv2.imencode(".png", cv2.cvtColor(pixels, order))[1].tobytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check permissions and free space") from error
