"""The LightningDataModule: clips for fit, validate and test; units of work for predict."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader

from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.degradations import Degradation
from vsr_adapter.data.loader import ResumableLoader
from vsr_adapter.data.mixture import Mixture
from vsr_adapter.data.trials import Trials
from vsr_adapter.errors import UserError, say
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.model import VSRModel
from vsr_adapter.windows import TimeGrid

# a piece of a run of predict: a function, since Lightning looks into other batches for tensors to move
Work = Callable[[VSRModel], object]

DEFAULT_OPTIONS = PredictOptions()
FRAMES = 8  # of a clip, where nothing else is set


def rest(model: VSRModel) -> None:
    """No work."""


def unset(name: str) -> UserError:
    """For clips that no folder was named for."""
    return UserError(f"data.{name} is not set: there are no clips; pass --data.{name} FOLDER")


def listed(name: str, roots: list[Path] | Path | None, lr_root: Path | None) -> list[Path]:
    """The folders of a split.

    Raises:
        UserError: one folder of twins for several of them.
    """
    folders = [roots] if isinstance(roots, Path) else roots or []
    if lr_root is not None and len(folders) > 1:
        raise UserError(f"data.{name}_lr {lr_root}: goes with one {name} set, not {len(folders)}; leave it out")
    return folders


class ClipDataModule(LightningDataModule):
    """Streams centre-cropped or whole clips from folders of videos or of frames.

    Args:
        train: training videos, high resolution: a set as distributed, any folder, or several of them.
        val: validation videos.
        test: test videos: a set, any folder, or several of them; each has a table.
        train_lr: low-resolution twins of ``train``; None takes those that a set ships, or else makes them.
        val_lr: of ``val``.
        test_lr: of ``test``.
        frames: of a clip; 8 where None, or the next number that the backbone takes.
        size: side of the square HR crop, in pixels; ``whole`` crops nothing.
        scale: HR pixels per LR pixel.
        train_stride: frames between the starts of training clips; None puts them end to end.
        train_clips: training clips of a video, at most; None takes all.
        eval_clips: validation and test clips of a video, at most, spread evenly; None takes all.
        batch_size: clips of a step of training and of validation, in each process; a test scores clip by clip.
        num_workers: processes that decode, for each process that trains.
        seed: of the order of training clips, and of the degradation.
        degradation: makes LR, anew in each epoch of training, also of a set that ships twins; None makes it by
            MATLAB-exact bicubic where there are none.
        train_weights: shares of several training sets in an epoch; None weighs all clips alike.
        origin: which twins of those that a set ships, such as ``BD``; ``made`` for none; None for the set's default.
        shifted_lr: whether test twins may lie elsewhere than HR.
        partial: whether a test set may lack clips or frames.
        input: videos to predict: files, folders of frames, or folders of either.
        output: folder for the predicted videos, or a file, for one.
        predict: how videos are predicted.

    Attributes:
        work: plans a run of predict and gives its pieces, the same in each process; called once these know each other
            and the weights are read.
    """

    def __init__(
        self,
        train: list[Path] | Path | None = None,
        val: Path | None = None,
        test: list[Path] | Path | None = None,
        train_lr: Path | None = None,
        val_lr: Path | None = None,
        test_lr: Path | None = None,
        frames: int | None = None,
        size: int | Literal["whole"] = 320,
        scale: int = 4,
        train_stride: int | None = None,
        train_clips: int | None = None,
        eval_clips: int | None = 1,
        batch_size: int = 1,
        num_workers: int = 2,
        seed: int = 0,
        degradation: Degradation | None = None,
        train_weights: list[float] | None = None,
        origin: str | None = None,
        shifted_lr: bool = False,
        partial: bool = False,
        input: list[Path] | None = None,
        output: Path | None = None,
        predict: PredictOptions = DEFAULT_OPTIONS,
    ):
        super().__init__()
        self.train_roots, self.train_lr = listed("train", train, train_lr), train_lr
        if size == "whole" and batch_size > 1:
            raise UserError(
                f"data.batch_size {batch_size}: whole frames may differ in size; pass --data.batch_size 1, or a size"
            )
        self.train_weights = train_weights
        self.roots = {"val": (listed("val", val, val_lr), val_lr), "test": (listed("test", test, test_lr), test_lr)}
        names = [root.resolve().name for root in self.roots["test"][0]]
        if len(set(names)) < len(names):
            raise UserError(
                f"data.test {', '.join(names)}: tables go by these names; rename a folder, or test one by one"
            )
        self.clip: dict[str, Any] = {
            "frames": FRAMES if frames is None else frames,
            "size": size,
            "scale": scale,
            "degradation": degradation,
            "seed": seed,
            "origin": origin,
        }
        self.frames = frames
        self.shifted_lr, self.partial = shifted_lr, partial
        self.train_stride, self.train_clips, self.eval_clips = train_stride, train_clips, eval_clips
        self.seed = seed
        self.loading: dict[str, Any] = {
            "batch_size": batch_size,
            "num_workers": num_workers,
            "persistent_workers": num_workers > 0,
        }
        self.input, self.output = input or [], output
        self.train_loader: ResumableLoader | None = None
        self.resume: dict[str, int] = {"epoch": 0, "batches": 0}
        self.predict = predict
        self.work: Callable[[], Sequence[Work]] | None = None

    def fit_frames(self, time: TimeGrid) -> None:
        """Clips of a length that the backbone takes; one that was set and is none is refused (`UserError`)."""
        if self.frames is None and time.up(FRAMES) != FRAMES:
            self.clip["frames"] = time.up(FRAMES)
            say(f"data.frames: {time.up(FRAMES)} in place of {FRAMES}, which this backbone does not take")
        time.check("data.frames", self.clip["frames"])

    def datasets(self, name: Literal["val", "test"]) -> list[ClipDataset]:
        """The clips of ``val`` or ``test``, set by set.

        Raises:
            UserError: no folder is set, or what `ClipDataset` refuses.
        """
        roots, lr_root = self.roots[name]
        if not roots:
            raise unset(name)
        return [ClipDataset(root, lr_root, limit=self.eval_clips, split=name, **self.clip) for root in roots]

    @property
    def ranks(self) -> tuple[int, int]:
        """Number of processes, and which one this is."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled; resumes in the middle of an epoch."""
        if not self.train_roots:
            raise unset("train")
        settings = {"stride": self.train_stride, "limit": self.train_clips, "split": "train", **self.clip}
        sets = [ClipDataset(root, self.train_lr, **settings) for root in self.train_roots]
        dataset = sets[0] if len(sets) == 1 else Mixture(sets, self.train_weights, self.seed)
        world_size, rank = self.ranks
        self.train_loader = ResumableLoader(dataset, self.seed, world_size, rank, **self.loading)
        self.train_loader.load_state_dict(self.resume)
        return self.train_loader

    def state_dict(self) -> dict[str, int]:
        """The position in the epoch.

        Lightning saves the loader's own as well, but never gives it back once ``estimated_stepping_batches`` has
        asked for the loader: that is before the checkpoint's loops are restored. The data module's comes earlier.
        """
        return self.resume if self.train_loader is None else self.train_loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """The training loader begins there."""
        self.resume = state_dict

    def evaluation_loader(
        self, name: Literal["val", "test"], dataset: ClipDataset | Trials, **settings: Any
    ) -> DataLoader:
        """In order; every clip once, whatever the number of processes (Lightning's own sampler pads with repeats)."""
        world_size, rank = self.ranks
        if len(dataset) < world_size:
            raise UserError(
                f"data.{name}: {len(dataset)} clips for {world_size} processes; pass --trainer.devices {len(dataset)} "
                "or more clips"
            )
        sampler = UnrepeatedDistributedSampler(dataset, world_size, rank, shuffle=False)
        return DataLoader(dataset, sampler=sampler, **{**self.loading, **settings})

    def val_dataloader(self) -> DataLoader:
        """Validation clips."""
        return self.evaluation_loader("val", self.datasets("val")[0])

    def test_dataloader(self) -> list[DataLoader]:
        """Test clips, set by set, one by one."""
        sets = self.datasets("test")
        for dataset in sets:
            dataset.check_test(self.shifted_lr, self.partial)
        several = len(sets) > 1
        trials = [Trials(dataset, dataset.name if several else "", self.shifted_lr) for dataset in sets]
        return [self.evaluation_loader("test", clips, batch_size=None) for clips in trials]

    def predict_dataloader(self) -> DataLoader:
        """Work, one piece a batch; shared out without repeats, and nothing for a process that would have none."""
        assert self.work is not None, "the command line gives it before it predicts"
        world_size, rank = self.ranks
        work: Any = list(self.work())  # torch asks for no more than a length and items
        work += [rest] * (world_size - len(work))
        sampler = UnrepeatedDistributedSampler(work, world_size, rank, shuffle=False)
        return DataLoader(work, batch_size=None, sampler=sampler, num_workers=0)
