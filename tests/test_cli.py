"""The command line: help and errors at once, configs, bad input."""

import subprocess
import sys

import pytest
import torch
import yaml

from tests.clips import cut, real_clips, write_folder
from tests.stacks import CONFIGS
from vsr_adapter.adapters import LinearLinear
from vsr_adapter.adapters.files import describe, save_adapter
from vsr_adapter.cli import main
from vsr_adapter.cli.entry import RUN
from vsr_adapter.cli.options import COMMANDS


def vsr(*arguments, code: str = ""):
    """A process of its own, which must not import torch."""
    program = f"import sys; from vsr_adapter.cli import main; code = main(); {code}; sys.exit(code)"
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)


LIGHT = "assert not {'torch', 'lightning', 'numpy', 'diffusers'} & set(sys.modules)"


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["fit", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    done = vsr(*arguments, code=LIGHT)
    assert done.returncode == 0, done.stderr
    assert "vsr" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "invalid choice"),
        (["predict", "--input", "/nowhere", "--output", "o"], "/nowhere: no such file or folder; check the path"),
        (["predict", "--output", "o"], "--input"),
        (["predict", "--input", ".", "--output", "o", "--steps", "0"], "0: must be a positive integer"),
        (["predict", "--input", ".", "--output", "o", "--condition", "maybe"], "invalid choice: 'maybe'"),
        (["predict", "--input", ".", "--output", "o", "--stepz", "1"], "--stepz: no such option"),
        (["fit", "--config", "nosuch.yaml"], "--config nosuch.yaml: no such file; name a file, or a shipped one: "),
        (["fit", "--data.train=.", "stray"], "stray: a value without an option"),
        (["test", "--adapter", "/nowhere"], "/nowhere: no such file or folder"),
        (["export", "/nowhere", "f"], "/nowhere: no such file or folder"),
    ],
)
def test_argument_errors_are_one_line_and_import_nothing_heavy(arguments, message):
    done = vsr(*arguments, code=LIGHT)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("vsr: error: ")


def test_each_command_has_its_function_and_each_function_its_command():
    assert RUN.keys() == COMMANDS.keys()


SHORT = {  # option: what is typed, what the config then says, and where
    "--seed": ("7", 7, "seed_everything model.sampling.seed data.seed"),
    "--adapter": ("a.file", "a.file", "model.adapter_file"),
    "--ckpt_path": ("x.ckpt", "x.ckpt", "ckpt_path"),
    "--steps": ("3", 3, "model.sampling.sampler.init_args.steps"),
    "--condition": ("off", "off", "model.sampling.condition"),
    "--input": ("a.file", ["a.file"], "data.input"),
    "--output": ("there", "there", "data.output"),
    "--output_format": ("mkv", "mkv", "data.predict.encoding.format"),
    "--codec": ("ffv1", "ffv1", "data.predict.encoding.codec"),
    "--crf": ("21.5", 21.5, "data.predict.encoding.crf"),
    "--height": ("64", 64, "data.predict.height"),
    "--start": ("5", 5, "data.predict.start"),
    "--frames": ("9", 9, "data.predict.frames"),
    "--tile": ("24", 24, "model.sampling.tiles.size"),
    "--damaged": ("skip", "skip", "data.predict.damaged"),
    "--overwrite": (None, True, "data.predict.overwrite"),
    "--clean": (None, True, "data.predict.clean"),
    "--quiet": (None, True, "data.predict.quiet"),
    "--json": (None, True, "data.predict.quiet"),
}
TEST_OUTPUT = ("there", "there", "report.folder")


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if command.configured])
def test_short_options_are_settings(command, capsys, tmp_path):
    """All that a command has, but for the config, are typed, and looked for where the config says them."""
    (tmp_path / "a.file").touch()
    expected = {**SHORT, "--output": TEST_OUTPUT} if command == "test" else SHORT
    options = [option.flags[0] for option in COMMANDS[command].options if option.name != "config"]
    words = [word for option in options for word in (option, expected[option][0]) if word is not None]
    assert main([command, "--config", "tiny.yaml", *words, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    for option in options:
        _, value, settings = expected[option]
        for setting in settings.split():
            found = printed
            for name in setting.split("."):
                found = found[name]
            assert found == value, setting


@pytest.mark.parametrize("config", ["reds.yaml", str(CONFIGS / "reds.yaml"), "default.yaml"])
def test_configs_are_printed_without_weights_or_data(config, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["fit", "--config", config, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["backbone"]["class_path"].endswith("Backbone")
    scheduler = printed["model"]["sampling"]["sampler"]["init_args"]["scheduler"]
    assert scheduler is None or scheduler.endswith("DDIMScheduler"), "None: as the published config says"


def test_the_paper_preset_is_the_thesis_recipe(capsys):
    assert main(["fit", "--config", "reds.yaml", "--config", "paper.yaml", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["optimizer"]["init_args"]["lr"] == 1e-7
    assert printed["data"]["batch_size"] * printed["trainer"]["accumulate_grad_batches"] == 1
    stopping = next(c for c in printed["trainer"]["callbacks"] if c["class_path"].endswith("EarlyStopping"))
    assert (stopping["init_args"]["monitor"], stopping["init_args"]["patience"]) == ("val/loss", 2)


def test_an_option_overrides_the_config_inside_an_included_piece(capsys):
    assert main(["fit", "--config", "reds.yaml", "--model.adapter.frames", "5", "--seed", "7", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["adapter"]["init_args"]["frames"] == 5
    assert printed["seed_everything"] == printed["model"]["sampling"]["seed"] == printed["data"]["seed"] == 7


@pytest.mark.parametrize(
    "adapter", ["linear_linear", "crossattention_transformer_linear", "crossattention_linear_linear"]
)
@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler"])
def test_parts_are_chosen_by_class_path(adapter, scheduler, capsys):
    more = [
        "--model.adapter",
        str(CONFIGS / "adapter" / f"{adapter}.yaml"),
        f"--model.sampling.sampler.scheduler=diffusers.{scheduler}",
    ]
    assert main(["fit", "--config", "reds.yaml", *more, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)["model"]
    assert (
        adapter
        == {
            "LinearLinear": "linear_linear",
            "CrossAttentionTransformerLinear": "crossattention_transformer_linear",
            "CrossAttentionLinearLinear": "crossattention_linear_linear",
        }[printed["adapter"]["class_path"].split(".")[-1]]
    )
    assert printed["sampling"]["sampler"]["init_args"]["scheduler"].endswith(scheduler)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("--model.adaptor=x", "adaptor"),
        ("--trainer.max_epochs=many", "max_epochs"),
        ("--model.adapter.frames=eight", "frames"),
        ("--model.backbone=nosuch.Thing", "nosuch.Thing"),
    ],
)
def test_settings_that_are_none_are_one_line(setting, message, capsys):
    assert main(["fit", "--config", "tiny.yaml", setting]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("vsr: error: ")
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 2)


def run(command, *more) -> int:
    return main([command, "--config", "tiny.yaml", "--trainer.logger=false", *map(str, more)])


def one_line(capsys, code: int) -> str:
    assert code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vsr: error: ")]
    assert len(errors) == 1
    return errors[0]


def test_missing_data_is_one_line(capsys, clips, tmp_path):
    assert "data.train is not set: there are no clips; pass --data.train FOLDER" in one_line(capsys, run("fit"))
    error = one_line(capsys, run("fit", f"--data.train={tmp_path / 'none'}", f"--data.val={clips}"))
    assert "none: no such file or folder; check the path" in error
    assert "holds no video" in one_line(capsys, run("validate", f"--data.val={tmp_path}"))


def test_pairs_and_sizes_that_do_not_fit_are_one_line(capsys, clips, tmp_path):
    write_folder(tmp_path / "clip00", cut(0, 8, height=20, width=20))
    write_folder(tmp_path / "clip01", cut(0, 8, height=16, width=16))
    error = one_line(capsys, run("validate", f"--data.val={clips}", f"--data.val_lr={tmp_path}"))
    assert "20x20, HR is 64x64" in error
    error = one_line(capsys, run("validate", f"--data.val={clips}", "--data.size=36"))
    assert "video of 36x36: this backbone takes multiples of 8; crop to 32x32" in error


def test_an_adapter_for_another_backbone_is_one_line(capsys, clips, tmp_path):
    for name, sizes, message in [
        ("text", (8, 100, 64, 48), "text_dim is 48, the configured adapter's is 32"),
        ("frames", (4, 100, 64, 32), "frames is 4, the configured adapter's is 8"),
        ("tokens", (8, 196, 64, 32), "tokens is 196, the configured adapter's is 100"),
    ]:
        adapter = LinearLinear(*sizes)
        save_adapter(tmp_path / name, adapter.state_dict(), describe(adapter), {})
        assert message in one_line(capsys, run("validate", f"--data.val={clips}", "--adapter", tmp_path / name))
    (tmp_path / "junk").write_text("junk")
    error = one_line(capsys, run("validate", f"--data.val={clips}", "--adapter", tmp_path / "junk"))
    assert "not a safetensors file" in error


def test_a_checkpoint_that_is_not_ours_is_one_line(capsys, clips, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    (tmp_path / "junk.ckpt").write_text("junk")
    torch.save({"code": subprocess.Popen}, tmp_path / "code.ckpt")
    for name, message in [
        ("other", "not a checkpoint of `vsr fit`"),
        ("junk", "cannot be read as a checkpoint"),
        ("code", "a damaged checkpoint, or one that holds code"),
        ("none", "no such checkpoint"),
    ]:
        more = [f"--data.val={clips}", "--ckpt_path", tmp_path / f"{name}.ckpt"]
        assert message in one_line(capsys, run("validate", *more))
    assert "not a checkpoint" in one_line(capsys, main(["export", str(tmp_path / "other.ckpt"), str(tmp_path / "f")]))


def test_a_loss_that_is_not_finite_is_one_line(capsys, clips):
    more = [f"--data.train={clips}", f"--data.val={clips}", "--model.optimizer.lr=1e30", "--trainer.max_epochs=4"]
    error = one_line(capsys, run("fit", *more, "--trainer.callbacks=null", "--trainer.gradient_clip_val=null"))
    assert "train/loss nan at step" in error or "train/loss inf at step" in error
    assert "lower --model.optimizer.lr" in error


def test_bf16_trains(clips, tmp_path):
    more = [f"--data.train={clips}", f"--data.val={clips}", "--trainer.precision=bf16-mixed"]
    assert run("fit", *more, "--trainer.max_epochs=1", "--trainer.callbacks=null") == 0
