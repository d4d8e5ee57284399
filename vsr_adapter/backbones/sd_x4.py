"""The baseline "SDx4": Stable Diffusion's x4 upscaler, an image model applied to each frame; diffusers'."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from vsr_adapter.backbones.low_res import check_low_res, each_noise_level
from vsr_adapter.backbones.published import NoisedLowResUNet, given
from vsr_adapter.types import Condition


class SDx4UNet(NoisedLowResUNet):
    """diffusers' `UNet2DConditionModel` on latents and low-resolution frame; the frames of a clip share its tokens."""

    def make(self) -> UNet2DConditionModel:
        """Of the published config."""
        return UNet2DConditionModel.from_config(self.config)

    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """v, shape of ``z_t``; ``low_res`` is that of `noise_low_res`."""
        assert condition.low_res is not None  # Backbone.denoise has seen to it
        batch, _, frames, _, _ = z_t.shape
        dtype = self.network.dtype
        clip = condition.low_res.transpose(1, 2)
        check_low_res(clip, z_t)
        level = each_noise_level(given(condition.noise_level), batch, z_t.device, self.network.config.num_class_embeds)
        images = torch.cat([z_t, clip], dim=1).transpose(1, 2).flatten(0, 1).to(dtype)
        t, level, tokens = (x.repeat_interleave(frames, 0) for x in (t, level, condition.tokens.to(dtype)))
        own = {"ip_hidden_states": condition.own}
        prediction = self.network(images, t, tokens, class_labels=level, cross_attention_kwargs=own).sample
        return prediction.unflatten(0, (batch, frames)).transpose(1, 2).to(z_t.dtype)
