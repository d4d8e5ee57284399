"""The training objective: Eq. 3.4 of the thesis, on latents; and the same in the network's own terms."""

from torch import Tensor

from vsr_adapter.diffusion.denoiser import Denoiser
from vsr_adapter.diffusion.process import ForwardProcess


def epsilon_loss(denoise: Denoiser, process: ForwardProcess, z_0: Tensor, noise: Tensor, index: Tensor) -> Tensor:
    """Squared error of the predicted noise, mean over a clip's latents.

    For v and flow predictions the noise is what they imply, so that the loss is Eq. 3.4 for all of them:
    |eps_hat - eps|^2 = alpha_bar_t |v_hat - v|^2 on the same z_t.

    Args:
        denoise: predicts on (z_t, t).
        process: alpha_t and sigma_t.
        z_0: clean latents, shape (B, C, T, h, w).
        noise: standard normal, shape of ``z_0``.
        index: training time of each clip, shape (B,).

    Returns:
        Shape (B,), float32.
    """
    z_t = process.noised(z_0, noise, index)
    prediction = denoise(z_t, process.times[index.cpu()].to(z_t.device))
    epsilon = process.epsilon(prediction.float(), z_t.float(), index)
    return (epsilon - noise.float()).square().flatten(1).mean(dim=1)


def prediction_loss(denoise: Denoiser, process: ForwardProcess, z_0: Tensor, noise: Tensor, index: Tensor) -> Tensor:
    """Squared error of what the network itself predicts: noise, v or flow; arguments and result as `epsilon_loss`.

    Eq. 3.4 with other weights over the times (for v, 1 in place of alpha_bar_t). Where alpha_bar_t is 0, as at the one
    time that one-step sampling visits under a schedule of zero terminal SNR, z_t is the noise, Eq. 3.4 is 0 whatever
    the network says, and only this one teaches.
    """
    z_t = process.noised(z_0, noise, index)
    prediction = denoise(z_t, process.times[index.cpu()].to(z_t.device))
    target = process.target(z_0, noise, index)
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1)
