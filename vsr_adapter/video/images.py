"""Image files, at the depth and with the alpha that they have."""

from pathlib import Path

import cv2
import numpy as np

from vsr_adapter.errors import UserError


def read_pixels(path: Path) -> np.ndarray:
    """An image as RGB or RGBA of 8 or 16 bits, shape (H, W, 3 or 4); a JPEG turned as its EXIF entry says.

    Raises:
        UserError: not an image, or one of floats.
    """
    content = np.fromfile(path, np.uint8)  # cv2.imread cannot open every name that the file system has
    # OpenCV turns an image only where it drops alpha
    mode = cv2.IMREAD_COLOR if path.suffix.lower() in (".jpg", ".jpeg") else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(content, mode) if content.size else None
    if image is None:
        raise UserError(f"{path}: cannot be read as an image; check that it opens")
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: {image.dtype} pixels, must be 8 or 16 bits; convert it")
    channels = 1 if image.ndim == 2 else image.shape[2]
    return cv2.cvtColor(image, {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[channels])


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
