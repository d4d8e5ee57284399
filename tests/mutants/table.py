"""Which tests hold which module, in the order in which they run; `not` leaves one out.

Quick ones that start no processes, since those would run what is not mutated.
"""

GOLDEN = "tests/test_golden.py::test_losses_and_outputs_of_a_stack_are_what_they_were"
SDX4, ALI_SFT, ALI_KL = (f"{GOLDEN}[tiny_{name}]" for name in ("sdx4", "ali_sft", "ali_kl"))
SLOW = [
    "not tests/predict/test_predict.py::test_without_a_config_the_shipped_default_runs",
    "not tests/predict/test_predict.py::test_bf16_runs",
    "not tests/test_tiles.py::test_another_batch_changes_at_most_one_code",
    "not tests/test_tiles.py::test_stretches_of_a_video_are_those_of_the_whole[segments0]",
    "not tests/test_restore.py::test_bf16_is_near_fp32_and_does_not_leak",
    "not tests/diffusion/test_sampler.py::test_our_loop_is_the_pipelines[DPMSolverMultistepScheduler]",
]
PREDICT = ["tests/predict/test_jobs.py", SDX4, "tests/predict/test_predict.py"]
DIFFUSION = ["tests/diffusion", SDX4]
TESTS: dict[str, list[str]] = {
    "vsr_adapter.model": ["tests/test_model.py", SDX4, ALI_SFT],
    "vsr_adapter.module": [SDX4, ALI_KL],
    "vsr_adapter.restore": ["tests/test_restore.py", "tests/test_tiles.py", SDX4],
    "vsr_adapter.tiles": ["tests/test_tiles.py", SDX4],
    "vsr_adapter.seeds": ["tests/test_seeds.py", "tests/test_tiles.py", SDX4],
    "vsr_adapter.data.datamodule": ["tests/datasets", SDX4],
    "vsr_adapter.data.loader": ["tests/datasets/test_loader.py", "tests/datasets/test_resume.py"],
    "vsr_adapter.diffusion.denoiser": [*DIFFUSION, ALI_SFT],
    "vsr_adapter.diffusion.sampler": DIFFUSION,
    "vsr_adapter.diffusion.start": DIFFUSION,
    "vsr_adapter.diffusion.time_steps": [*DIFFUSION, ALI_SFT],
    "vsr_adapter.diffusion.objective": [*DIFFUSION, ALI_KL],
    "vsr_adapter.diffusion.process": [*DIFFUSION, ALI_KL],
    "vsr_adapter.video.plan": ["tests/video/test_plan.py", "tests/test_tiles.py"],
    "vsr_adapter.predict.jobs": PREDICT,
    "vsr_adapter.predict.plan": PREDICT,
    "vsr_adapter.predict.run": PREDICT,
    "vsr_adapter.predict.journal": PREDICT,
}


def selection(module: str) -> list[str]:
    """Its tests without the slow ones of them."""
    chosen = TESTS[module]
    return chosen + [
        one for one in SLOW if one.removeprefix("not ").startswith(tuple(t.split("::")[0] for t in chosen))
    ]
