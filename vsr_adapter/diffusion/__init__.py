"""Schedule, objective, denoiser, start and sampler: the numerics, in the order of the paper."""

from vsr_adapter.diffusion.denoiser import ConditionedDenoiser, Denoiser, GuidedDenoiser, JointDenoiser
from vsr_adapter.diffusion.objective import epsilon_loss, prediction_loss
from vsr_adapter.diffusion.process import ForwardProcess
from vsr_adapter.diffusion.sampler import Sampler
from vsr_adapter.diffusion.start import EncodedNoiseStart, GaussianStart, NoisedLowResStart, Start
from vsr_adapter.diffusion.time_steps import InferenceGridTimeSteps, TimeSteps, UniformTimeSteps, WholeGridTimeSteps

__all__ = [
    "ConditionedDenoiser",
    "Denoiser",
    "EncodedNoiseStart",
    "ForwardProcess",
    "GaussianStart",
    "GuidedDenoiser",
    "InferenceGridTimeSteps",
    "JointDenoiser",
    "NoisedLowResStart",
    "Sampler",
    "Start",
    "TimeSteps",
    "UniformTimeSteps",
    "WholeGridTimeSteps",
    "epsilon_loss",
    "prediction_loss",
]
