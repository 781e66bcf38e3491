"""Split the digits and describe the splits."""

from mnist_diffusion import paths
from mnist_diffusion.dataset import canonical
from mnist_diffusion.dataset.idx import read_digits
from mnist_diffusion.dataset.splits import SPLITS, save_split, split_digits, summarise
from mnist_diffusion.jsonfile import write_json
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record


def run(settings: Settings) -> Record:
    """data/raw → data/prepared: arrays of the three splits and summary.json."""
    asked = settings.prepare.model_dump()
    canonical.require(paths.RAW)
    splits = split_digits(
        read_digits(paths.RAW, "train"),
        read_digits(paths.RAW, "t10k"),
        sizes={name: asked[name] for name in SPLITS},
        seed=settings.prepare.seed,
    )
    described = {name: summarise(digits) for name, digits in splits.items()}

    for name, digits in splits.items():
        save_split(name, digits)
    summary = paths.PREPARED / "summary.json"
    write_json(summary, {"splits": described, "raw_sha256": canonical.SHA256})
    return Record(
        params=asked,
        metrics={
            f"{name}_{key}": description[key]
            for name, description in described.items()
            for key in ("pixel_mean", "pixel_std")
        },
        tags={f"input.{name}": digest for name, digest in canonical.SHA256.items()},
        artifacts=[summary],
        images=sum(len(digits.labels) for digits in splits.values()),
    )
