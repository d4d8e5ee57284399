"""Optical flow between two frames: OpenCV's classic methods, which need no weights, and RAFT where its weights are."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

from vsr_adapter.errors import UserError


class Flow(nn.Module, ABC):
    """Motion from one frame to another.

    Attributes:
        name: what a table calls it: two flows give two numbers.
        min_side: smallest height and width, in pixels.
    """

    name: str
    min_side = 1

    @abstractmethod
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Displacement of each pixel of ``first``.

        Args:
            first: RGB in [0, 1], shape (3, H, W).
            second: same shape.

        Returns:
            Shape (2, H, W), float64, in pixels, x (to the right) before y (down): first(x) shows what
            second(x + flow(x)) shows.
        """


class OpenCVFlow(Flow):
    """A method of OpenCV, on 8-bit grey frames, on the CPU."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Displacement of each pixel of ``first``."""
        flow = self.of_grey(self.grey(first), self.grey(second))
        return torch.from_numpy(flow).permute(2, 0, 1).to(first.device, torch.float64)

    @staticmethod
    def grey(frame: Tensor) -> np.ndarray:
        """A frame as OpenCV's 8-bit grey, shape (H, W)."""
        image = (frame * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)

    @abstractmethod
    def of_grey(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow of 8-bit grey frames, shape (H, W, 2)."""


class DIS(OpenCVFlow):
    """Dense inverse search (Kroeger et al. 2016), 0.03 s a pair at 768x576.

    Args:
        preset: OpenCV's, from fast to exact.
    """

    min_side = 12  # OpenCV refuses less

    def __init__(self, preset: Literal["ultrafast", "fast", "medium"] = "medium"):
        super().__init__()
        self.preset = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }[preset]
        self.name = "DIS" if preset == "medium" else f"DIS-{preset}"

    def of_grey(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow of 8-bit grey frames."""
        # made anew for each pair: OpenCV's object can be neither copied nor sent to another process
        return cv2.DISOpticalFlow.create(self.preset).calc(first, second, None)


class Farneback(OpenCVFlow):
    """Polynomial expansion (Farnebäck 2003), with the settings of TecoGAN's tOF."""

    name = "Farneback"

    def of_grey(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow of 8-bit grey frames."""
        return cv2.calcOpticalFlowFarneback(
            first, second, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        )


class RAFT(Flow):
    """RAFT, large (Teed and Deng 2020), torchvision's network.

    Frames are padded by replication to what the network takes, as its authors do, and the flow is cut back.

    Args:
        weights: a file of torchvision's; None takes the one in torch's cache. Nothing is downloaded.
        updates: refinements of the flow.

    Raises:
        UserError: no such file.
    """

    name = "RAFT"
    side = 128  # the coarsest of its four correlation levels has two cells then
    multiple = 8

    def __init__(self, weights: Path | None = None, updates: int = 12):
        super().__init__()
        self.updates = updates
        url = Raft_Large_Weights.DEFAULT.url
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name if weights is None else Path(weights)
        if not path.is_file():
            raise UserError(f"{path}: RAFT's weights are not there; put {url} there, or use the flow DIS")
        self.network = raft_large()
        self.network.load_state_dict(torch.load(path, "cpu", weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Displacement of each pixel of ``first``."""
        height, width = first.shape[-2:]
        wide, high = (max(-(-size // self.multiple) * self.multiple, self.side) for size in (width, height))
        pad = [0, wide - width, 0, high - height]
        padded = [F.pad(frame.float()[None], pad, mode="replicate") * 2 - 1 for frame in (first, second)]
        with torch.no_grad():
            flow = self.network(*padded, num_flow_updates=self.updates)[-1][0]
        return flow[:, :height, :width].double()
