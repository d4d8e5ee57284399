"""What small networks have beside the published structure: a bicubic skip, no mid attention, fast CPU convolutions."""

import pytest
import torch

from tests.backbones.test_upscale import small_vae
from vsr_adapter.backbones.upscale_a_video.layers import VideoConv
from vsr_adapter.backbones.upscale_a_video.skip import DETAIL
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale


def skipping_vae():
    return small_vae(block_out_channels=[8, 8, 16], condition_img=True, bicubic_skip=True)


@torch.no_grad()
def test_a_decoder_that_says_nothing_gives_bicubic():
    vae = skipping_vae()
    vae.decoder.conv_out.weight.zero_()
    vae.decoder.conv_out.bias.zero_()
    lr = torch.rand(1, 3, 3, 8, 12)
    ours = (vae.decode(torch.randn(1, 4, 3, 8, 12), (lr * 2 - 1).transpose(1, 2)) + 1) / 2
    torch.testing.assert_close(ours.transpose(1, 2), bicubic_upscale(lr), atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_encoder_sees_what_bicubic_lacks():
    vae = skipping_vae()
    hr = (torch.rand(1, 2, 3, 32, 32) * 255).round() / 255
    lacking = (hr - bicubic_upscale(bicubic_downscale(hr))) * 2 / DETAIL
    plain = small_vae(block_out_channels=[8, 8, 16], condition_img=True)
    plain.load_state_dict(vae.state_dict())
    for ours, theirs in zip(
        vae.encode_moments((hr * 2 - 1).transpose(1, 2)), plain.encode_moments(lacking.transpose(1, 2)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_skip_needs_the_low_resolution_clip():
    with pytest.raises(UserError, match="bicubic_skip true, condition_img false: the skip needs"):
        small_vae(bicubic_skip=True)


def test_the_mid_attention_can_be_left_out():
    names = small_vae(mid_block_add_attention=False).state_dict()
    assert not [name for name in names if "attentions" in name]


@torch.no_grad()
@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 1, 1), (3, 1, 1)])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_convolution_over_neighbours_is_the_3d_one(kernel, frames):
    torch.manual_seed(0)
    convolution, x = VideoConv(6, kernel), torch.randn(2, 6, frames, 5, 4)
    torch.testing.assert_close(convolution(x), torch.nn.Conv3d.forward(convolution, x), atol=1e-5, rtol=1e-5)
