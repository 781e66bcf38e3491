"""How far a run that was repeated agrees with the committed one: what a certificate says.

Bits first. Where they differ, a score is held against what the committed run predicts for another
training, and a verdict against the committed one. Reads dvc.lock and reports, nothing else.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from mnist_diffusion.audit.prediction import (
    RARE,
    Spread,
    by_chance,
    log,
    predicted,
    spread,
)
from mnist_diffusion.evaluation.quantities import Quantity
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.files.yamlfile import read_lock
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.schemas.artifact import Sourced, load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.claim_reports import ClaimsReport
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings

DISTANCES = ("fd_infinity", "second_fd_infinity")
"""One score, under both feature extractors."""
ROUNDING = 1e-3
"""Of the logarithm of a distance, where images and judges are the same bits."""
OPPOSITE = ({"holds", "fails"}, {"better", "worse"})


@dataclass(frozen=True)
class Results:
    """What the pipeline left in a folder, as far as git holds it: dvc.lock and the reports."""

    root: Path
    settings: Settings

    @cached_property
    def lock(self) -> dict[str, Any]:
        """What dvc.lock has, by the address of a stage."""
        return read_lock(self.root)

    @cached_property
    def judged(self) -> dict[str, CellMetrics]:
        """Every cell; UserError for one that has not been judged."""
        places = {cell: self.root / paths.metrics(cell) for cell in self.settings.cells}
        return {cell: load(place, CellMetrics) for cell, place in places.items()}

    @cached_property
    def claims(self) -> ClaimsReport:
        return load(self.root / paths.CLAIMS, ClaimsReport)

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """Those that speak of more than one pair of trainings: on claims, and on effects."""
        claims: dict[str, str] = {f"claim {k}": v.outcome for k, v in self.claims.claims.items()}
        return claims | {
            f"effect {one.of}: {one.factor} {one.level} for {one.base}, {one.metric}": one.verdict
            for analysis in self.claims.effects.values()
            for one in analysis.effects
        }

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of what lies in folders whose manifests name the machine: what their numbers are."""
        found: dict[Path, str] = {}
        for cell, one in self.judged.items():
            found[paths.samples(cell)] = one.samples_sha256
            found[paths.CLASSIFIER] = one.classifier_sha256
            found[paths.AUTOENCODER] = one.second.autoencoder_sha256
            found[paths.REFERENCE] = one.reference_sha256
        table = self.root / paths.TABLES / "provenance.csv"
        if table.is_file():
            drawn_by = defaultdict[Path, set[str]](set)  # cells of one run may not all be redrawn
            for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
                drawn_by[paths.model(row["run"])].add(row["weights"])
            found |= {path: " ".join(sorted(weights)) for path, weights in drawn_by.items()}
        return {path.as_posix(): digest for path, digest in found.items()}

    @cached_property
    def environment(self) -> dict[str, str]:
        """Where its cells were judged; of several places, all that they say."""
        said = defaultdict[str, set[str]](set)
        for key, value in chain.from_iterable(
            one.environment.items() for one in self.judged.values()
        ):
            said[key].add(value)
        return {key: " or ".join(sorted(values)) for key, values in said.items()}

    def outs(self, address: str) -> dict[str, str]:
        """The MD5 of what a stage left, by path."""
        outs = self.lock.get(address, {}).get("outs", ())
        return {out["path"]: str(out.get("md5")) for out in outs}

    def holds(self, path: str) -> Any:
        """What an output says wherever it was made; None if nothing tells."""
        if not path.startswith(str(paths.REPORTS)) or not path.endswith(".json"):
            return self.digests.get(path)
        content = read_json(self.root / path)
        return {key: value for key, value in content.items() if key not in Sourced.model_fields}

    def recipe(self, address: str) -> Any:
        """What decides a result, but for what went in, and where; None for what shows results."""
        stage, _, name = address.partition("@")
        if address not in self.lock or stage not in STAGES or not STAGES[stage].published(name):
            return None
        entry = self.lock[address]
        code = [dep["md5"] for dep in entry["deps"] if Path(dep["path"]).parent == paths.CODE]
        params = {**entry.get("params", {}).get(str(paths.PARAMS), {}), "compute": None}
        return entry["cmd"], code, params

    def ran(self, address: str) -> bytes | None:
        """What says when a stage ran."""
        path = self.root / paths.timing_of(address)
        return path.read_bytes() if path.is_file() else None


def certificate(there: Results, here: Results) -> dict[str, Any]:
    """All that is told, as JSON; UserError if `here` is no repetition, or is not complete."""
    for address in there.lock:
        if there.recipe(address) != here.recipe(address):
            text = "not made by the commit's source and parameters; name its own with --commit"
            raise UserError(f"{here.root / paths.LOCK}: {address}: {text}")
    spreads = {metric: spread(there.settings, there.judged, metric) for metric in DISTANCES}
    ran = {one for one in there.lock if here.ran(one) not in (None, there.ran(one))}
    outputs, scores = _outputs(there, here, ran), list(_scores(there, here, spreads))
    sizes = Counter(one["run"] for one in scores).values()
    df = min((one.df for one in spreads.values() if one), default=1)
    chance = by_chance([*sizes], there.claims.level, df)
    outside = sum(not one["inside"] for one in scores)
    verdicts = {
        name: {"committed": one, "here": here.verdicts.get(name, "missing")}
        for name, one in there.verdicts.items()
    }
    reversed_ = any({*one.values()} in OPPOSITE for one in verdicts.values())
    if all(row["same"] + row["not_run"] == row["all"] for row in outputs.values()):
        verdict = "same bits" if ran else "unverified"
    elif reversed_ or outside > chance or any(one["far"] for one in scores):
        verdict = "not reproduced"
    else:
        verdict = "reproduced" if all(one["predicted"] for one in scores) else "unverified"
    return {
        "verdict": verdict,
        "environment": {"committed": there.environment, "here": here.environment},
        "stages": {"all": len(there.lock), "ran_since": len(ran)},
        "outputs": outputs,
        "level": there.claims.level,
        "spread": {metric: asdict(one) for metric, one in spreads.items() if one},
        "scores": scores,
        "outside": {
            "found": outside,
            "expected": (1 - there.claims.level) * len(scores),
            "by_chance": chance,
        },
        "verdicts": verdicts,
    }


def _outputs(there: Results, here: Results, ran: Set[str]) -> dict[str, dict[str, Any]]:
    """By stage: how many outputs it has, how many hold the same, and which do not, or might.

    What is the committed one, since its stage did not run, is no evidence: `not_run` counts it.
    """
    found: dict[str, dict[str, Any]] = {}
    foreign = there.environment != here.environment
    for address in there.lock:
        empty: dict[str, Any] = {"all": 0, "same": 0, "not_run": 0, "other": [], "not_told": []}
        row = found.setdefault(address.partition("@")[0], empty)
        ours, kind = here.outs(address), "same" if address in ran else "not_run"
        for path, md5 in there.outs(address).items():
            known = there.holds(path)
            row["all"] += 1
            if md5 == ours.get(path) or (known is not None and known == here.holds(path)):
                row[kind] += 1
            elif foreign and known is None and not path.startswith(str(paths.REPORTS)):
                row["not_told"].append(path)
            else:
                row["other"].append(path)
    return found


def _scores(
    there: Results, here: Results, spreads: Mapping[str, Spread | None]
) -> Iterator[dict[str, Any]]:
    """Every distance that is not the committed one, and what it lies between by what is."""
    logs = {
        (cell, metric): (log(there.judged[cell], metric), log(here.judged[cell], metric))
        for cell in there.judged
        for metric in DISTANCES
    }
    other = {key: both for key, both in logs.items() if both[0].estimate != both[1].estimate}
    for (cell, metric), (own, new) in other.items():
        row: dict[str, Any] = {"cell": cell, "run": there.judged[cell].run, "metric": metric}
        row |= {"committed": math.exp(own.estimate), "here": math.exp(new.estimate)}
        varies = spreads[metric]
        if _looked_at(there.judged[cell]) == _looked_at(here.judged[cell]):
            likely = Quantity(own.estimate, ROUNDING)
        elif varies:
            likely = predicted(own, new.error, varies)
        else:
            yield row | {"predicted": None, "inside": True, "far": False}
            continue
        low, high = likely.interval(there.claims.level)
        least, most = likely.interval(1 - RARE / len(other))
        yield row | {
            "predicted": [math.exp(low), math.exp(high)],
            "inside": low <= new.estimate <= high,
            "far": not least <= new.estimate <= most,
        }


def _looked_at(cell: CellMetrics) -> tuple[str, ...]:
    """The images, and what they are judged by."""
    judges = (cell.classifier_sha256, cell.second.autoencoder_sha256, cell.reference_sha256)
    return cell.samples_sha256, *judges
