"""A camera that moves over a photograph: sub-pixel pan, zoom, rotation and brightness."""

from typing import NamedTuple

import cv2
import numpy as np


class Camera(NamedTuple):
    """What one frame sees, about the middle of the view.

    Attributes:
        x: pan in output pixels.
        y: the same, downwards.
        zoom: output pixels per photograph pixel, after the photograph's own factor.
        turn: rotation in radians.
        gain: brightness, 1 as it is.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    turn: float = 0.0
    gain: float = 1.0


def path(frames: int, rng: np.random.Generator) -> list[Camera]:
    """A camera of steady speed with a hand's tremor; one in five stands still.

    The ranges, for each frame: pan up to 4 output pixels, zoom 1.2 %, rotation 0.8 degrees, brightness 1.5 %.
    """
    if frames == 1 or rng.random() < 0.2:
        return [Camera()] * frames
    time = np.arange(frames) - (frames - 1) / 2
    direction, speed = rng.uniform(0, 2 * np.pi), 4 * rng.random() ** 2  # slow pans are the common ones
    tremor = rng.normal(0, 0.3 * rng.random(), (2, frames))
    zoom, turn, gain = rng.uniform(-1, 1, 3) * rng.random(3) * (0.012, np.radians(0.8), 0.015)
    return [
        Camera(
            x=float(speed * np.cos(direction) * t + tremor[0, i]),
            y=float(speed * np.sin(direction) * t + tremor[1, i]),
            zoom=float(np.exp(zoom * t)),
            turn=float(turn * t),
            gain=float(1 + gain * t),
        )
        for i, t in enumerate(time)
    ]


def reach(cameras: list[Camera], size: int) -> int:
    """Side of the square, in output pixels, that all frames lie in."""
    half = size / 2
    needed = [
        max(abs(camera.x), abs(camera.y)) + half / camera.zoom * (abs(np.cos(camera.turn)) + abs(np.sin(camera.turn)))
        for camera in cameras
    ]
    return 2 * int(np.ceil(max(needed)))


def view(image: np.ndarray, camera: Camera, size: int, factor: int = 1) -> np.ndarray:
    """One frame: the image around its middle as the camera sees it.

    Args:
        image: 8-bit RGB, shape (H, W, 3).
        camera: where it looks.
        size: side of the frame in output pixels.
        factor: photograph pixels per output pixel; above 1 the view is taken at full size and averaged, so that
            frames at any sub-pixel phase are equally sharp.

    Returns:
        8-bit RGB, shape (size, size, 3).
    """
    side = size * factor
    scale, (sine, cosine) = 1 / camera.zoom, (np.sin(camera.turn), np.cos(camera.turn))
    linear = scale * np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([image.shape[1], image.shape[0]]) / 2 + factor * np.array([camera.x, camera.y])
    # pixel centres stand at half-integers
    offset = middle - 0.5 - linear @ np.full(2, side / 2 - 0.5)
    matrix = np.hstack([linear, offset[:, None]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    if factor > 1:
        frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    return frame if camera.gain == 1 else cv2.convertScaleAbs(frame, alpha=camera.gain)
