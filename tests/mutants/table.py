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
    "not tests/evaluation/test_test.py::test_two_processes_score_what_one_does",
    "not tests/diffusion/test_sampler.py::test_our_loop_is_the_pipelines[DPMSolverMultistepScheduler]",
]


def guard(*names: str) -> list[str]:
    return [f"tests/guards/test_guard_{name}.py" for name in names]


SAMPLED = [*guard("sampler", "condition", "windows"), SDX4]
JOBS = [
    "tests/predict/test_jobs.py", *guard("predict_frames", "predict_runs", "predict_options"), SDX4,
    "tests/predict/test_predict.py",
]  # fmt: skip
DIFFUSION = ["tests/diffusion", SDX4]
CLIPS = guard("data_clips", "data_training", "data_test")
TESTS: dict[str, list[str]] = {
    "vsr_adapter.model": ["tests/test_model.py", *SAMPLED, ALI_SFT],
    "vsr_adapter.training.module": [*guard("training"), SDX4, ALI_KL],
    "vsr_adapter.training.loss": ["tests/test_model.py", *guard("training"), SDX4, ALI_SFT],
    "vsr_adapter.training.datamodule": [*CLIPS, SDX4],
    "vsr_adapter.data.loader": ["tests/datasets/test_loader.py", "tests/datasets/test_resume.py"],
    "vsr_adapter.data.clips": ["tests/datasets/test_clips.py", *CLIPS],
    "vsr_adapter.inference.streaming": ["tests/test_restore.py", "tests/test_tiles.py", *guard("windows"), SDX4],
    "vsr_adapter.inference.sample": ["tests/test_tiles.py", *SAMPLED, ALI_SFT],
    "vsr_adapter.inference.tiles": ["tests/test_tiles.py", *guard("windows"), SDX4],
    "vsr_adapter.seeds": ["tests/test_seeds.py", "tests/test_tiles.py", SDX4],
    "vsr_adapter.diffusion.denoiser": [*DIFFUSION, *guard("sampler"), ALI_SFT],
    "vsr_adapter.diffusion.sampler": [*DIFFUSION, *guard("sampler")],
    "vsr_adapter.diffusion.schedule": DIFFUSION,
    "vsr_adapter.diffusion.start": [*DIFFUSION, *guard("sampler")],
    "vsr_adapter.diffusion.time_steps": [*DIFFUSION, *guard("training"), ALI_SFT],
    "vsr_adapter.diffusion.objective": [*DIFFUSION, ALI_KL],
    "vsr_adapter.diffusion.process": [*DIFFUSION, ALI_KL],
    "vsr_adapter.windows": ["tests/test_windows.py", "tests/test_tiles.py", "tests/test_time.py"],
    "vsr_adapter.evaluation.loop": ["tests/evaluation/test_stack.py", "tests/evaluation/test_test.py"],
    "vsr_adapter.evaluation.stack": ["tests/evaluation/test_stack.py", "tests/evaluation/test_test.py"],
    "vsr_adapter.jobs.job": JOBS,
    "vsr_adapter.jobs.plan": JOBS,
    "vsr_adapter.jobs.run": JOBS,
    "vsr_adapter.jobs.journal": JOBS,
}


def selection(module: str) -> list[str]:
    """Its tests without the slow ones of them."""
    chosen = TESTS[module]
    return chosen + [
        one for one in SLOW if one.removeprefix("not ").startswith(tuple(t.split("::")[0] for t in chosen))
    ]
