"""`vsr info`: exact counts, and costs that obey what is known of them."""

import re

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.stacks import CONFIGS, backbone, model
from vsr_adapter.adapters import LinearLinear
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.inference.info import cost, info
from vsr_adapter.inference.sample import sample
from vsr_adapter.seeds import NoiseField


@pytest.mark.parametrize(
    ("config", "unet", "total", "thesis"),
    [
        ("upscale_sft", "691,036,436", "893,525,037", ["691.04 M", "0.892 B"]),
        ("ali_sft", "1,411,233,860", "1,613,722,461", ["1.41 B", "1.601 B"]),
    ],
)
def test_the_thesis_stacks_are_counted_beside_table_4_6(config, unet, total, thesis, capsys, recwarn):
    assert main(["info", "--config", f"backbone/{config}.yaml", "--steps", "1"]) == 0
    out = capsys.readouterr().out
    for number in (unet, "113,776,365", "86,567,656", "85,798,656", "2,144,580", total, *thesis, "113.78 M", "2.14 M"):
        assert number in out
    assert re.search(r"training step \d+\.\d\d TFLOP, clip of 1 steps \d+\.\d\d TFLOP", out)
    assert any("latent mismatch" in str(w.message) for w in recwarn) == (config == "ali_sft")


def test_a_whole_config_is_read_as_well():
    assert "adapter LinearLinear" in info(CONFIGS / "tiny.yaml", size=16, steps=1)


def test_a_stack_with_weights_is_counted_too():
    """Weights that are read from a file are not on the meta device."""
    assert "UNet UpscaleUNetPart       6,375,092" in info(CONFIGS / "mini.yaml", size=16, steps=1)


def test_costs_are_those_of_a_real_run():
    """The oracle: the same counter over a real sample on the CPU."""
    stack = model()
    parts = backbone(), FrozenViT("test_vit"), LinearLinear(8, 100, 64, 32).to("meta")
    with torch.device("meta"):
        parts[0].load()
        parts[1].load()
    counted = [cost(*parts, 16, 8, steps) for steps in (1, 2, 3)]
    assert counted[2].clip - counted[1].clip == counted[1].clip - counted[0].clip > 0
    stack.sampler.steps = 2
    # the counter does not know the CPU's fused attention
    with FlopCounterMode(display=False) as real, sdpa_kernel(SDPBackend.MATH):
        sample(stack, torch.rand(1, 8, 3, 16, 16), [NoiseField((0,), range(8))])
    assert counted[1].clip == pytest.approx(real.get_total_flops(), rel=0.02)
    assert counted[0].training > counted[0].clip / 2


def test_a_size_that_the_backbone_cannot_take_is_one_line(capsys):
    assert main(["info", "--config", "tiny.yaml", "--size", "5"]) == 1
    assert "video of 20x20: this backbone takes multiples of 8" in capsys.readouterr().err
