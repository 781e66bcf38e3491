"""A repetition is held against what was committed: made-up reports, whose answers are known."""

import json
import math
import shutil
from itertools import permutations, product
from pathlib import Path

import fake_evidence
import fake_results
import numpy as np
import pytest
from audited import commit
from ruamel.yaml import YAML
from scipy.stats import binom
from typer import Exit

from mnist_diffusion.audit.certificate import verify
from mnist_diffusion.audit.prediction import Spread, alike, by_chance, log, predicted, spread
from mnist_diffusion.audit.repetition import DISTANCES
from mnist_diffusion.evaluation.quantities import Quantity
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings, parse_settings

REPOSITORY = Path(__file__).parents[2]
SEEDS = 6
NAMES = [f"{arm}-{k}" for arm in "ab" for k in range(SEEDS)]
"""Two arms of trainings, alike but for the seed."""
LOGS = dict(zip(NAMES, (*(-4.0, -3.9, -3.8) * 2, *(-3.0, -2.7) * 3), strict=True))
SQUARES = 4 * 0.01 + 6 * 0.0225
"""Of LOGS about the means of the arms."""


def content():
    """The arms beside the cells of other tests; some of one arm are drawn a second way."""
    made = fake_results.small_content()
    for arm, schedule in (("a", "cosine"), ("b", "quadratic")):
        for k in range(SEEDS):
            made["runs"][f"{arm}-{k}"] = fake_results.RUN | {"schedule": schedule, "seed": k + 7}
            made["cells"][f"{arm}-{k}"] = fake_results.DRAWN | {"run": f"{arm}-{k}"}
    for k in range(3):
        made["cells"][f"a-{k}-again"] = made["cells"][f"a-{k}"] | {"steps": 5}
    return made


def judged(settings, logs, error=0.0):
    """Judgements of all cells, those named of such log distances, with such errors of a log."""
    found = {}
    for cell in settings.cells:
        made = fake_results._metrics(cell, settings, asked=False)
        value = math.exp(logs.get(cell, -3.0))
        made["fd_infinity"] = made["second"]["fd_infinity"] = value
        made["errors"] = dict.fromkeys(DISTANCES, error * value)
        found[cell] = CellMetrics.model_validate_json(json.dumps(made))
    return found


@pytest.fixture(scope="module")
def settings():
    return parse_settings(content(), "params.yaml")


@pytest.mark.parametrize("error", [0.0, 0.1, 1.0])
def test_the_spread_is_pooled_over_seeds_and_its_images_taken_out(settings, error):
    again = {f"a-{k}-again": -9.0 + 5 * k for k in range(3)}  # no other trainings
    found = spread(settings, judged(settings, LOGS | again, error), "fd_infinity")
    assert found.df == 2 * (SEEDS - 1)
    assert found.variance == pytest.approx(max(0, SQUARES / found.df - error**2), abs=1e-12)


def test_an_interval_is_of_both_trainings_and_both_sets_of_images():
    """t of 3 degrees of freedom: 3.182446; √(2 · 0.02 + 0.09 + 0.16) = 0.538516."""
    low, high = predicted(Quantity(-4.0, 0.3), 0.4, Spread(0.02, 3)).interval(0.95)
    assert high + 4 == pytest.approx(3.182446 * 0.538516, abs=1e-5)
    assert (low + high) / 2 == pytest.approx(-4.0)


@pytest.mark.parametrize("count", [0, 1, 5, 20, 60])
@pytest.mark.parametrize("size", [1, 4])
def test_where_the_spread_is_known_chance_is_a_binomial(count, size):
    chance = by_chance([size] * count, 0.95, 10**6)
    assert chance == size * max(0, binom.ppf(0.99, count, 0.05))
    assert by_chance([size] * count, 0.95, 4) >= chance


def test_honest_repetitions_are_outside_as_seldom_as_is_said():
    """Trainings and images made up by the thousand: 3 arms of 3 seeds tell the spread."""
    random, trainings, error, wrong = np.random.default_rng(0), 12, 0.1, []
    whole = math.hypot(0.2, error)
    for _ in range(4000):
        pooled = float(random.normal(0, whole, (3, 3)).var(axis=1, ddof=1).mean())
        own, new = random.normal(0, whole, (2, trainings))
        varies = Spread(max(0.0, pooled - error**2), 6)
        _, reach = predicted(Quantity(0.0, error), error, varies).interval(0.95)
        wrong.append(int((np.abs(new - own) > reach).sum()))
    assert 0.035 < np.mean(wrong) / trainings < 0.055
    assert np.mean(np.array(wrong) > by_chance([1] * trainings, 0.95, 6)) < 0.015


def left_out(level):
    """Of the committed results, whether each training lies where another of its arm predicts it.

    By a spread that has not seen it; under both extractors, of arms of three seeds or more.
    """
    settings = load_settings()
    cells = {cell: load(paths.metrics(cell), CellMetrics) for cell in settings.cells}
    for arm, metric in product(alike(settings, cells), DISTANCES):
        for first, other in permutations(arm, 2) if len(arm) > 2 else ():
            rest = {cell: one for cell, one in cells.items() if one.run != cells[other].run}
            new, varies = log(cells[other], metric), spread(settings, rest, metric)
            low, high = predicted(log(cells[first], metric), new.error, varies).interval(level)
            yield low <= new.estimate <= high


def test_a_seed_that_is_left_out_lies_where_the_others_predict(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    inside, half = [*left_out(0.95)], [*left_out(0.5)]
    assert len(inside) >= 36
    assert np.mean(inside) > 0.85
    assert 0.3 < np.mean(half) < 0.8


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """A repository of made-up results, committed, in which all stages have just run again."""
    monkeypatch.chdir(tmp_path)
    YAML().dump(json.loads(json.dumps(content())), paths.PARAMS)
    settings = parse_settings(content(), "params.yaml")
    write_json(paths.CLAIMS, fake_evidence.claims("a-0"))
    paths.TABLES.mkdir()
    weights = "".join(f"{run},{'d' * 64}\n" for run in settings.runs)
    (paths.TABLES / "provenance.csv").write_text("run,weights\n" + weights)
    for cell, one in judged(settings, LOGS, 0.05).items():
        write_json(paths.metrics(cell), one.model_dump(mode="json"))
    outs = {"claims": str(paths.CLAIMS), "prepare": "data/prepared"}
    outs |= {f"train@{run}": f"models/{run}" for run in settings.runs}
    for cell in settings.cells:
        outs[f"sample@{cell}"] = f"data/samples/{cell}"
        outs[f"evaluate@{cell}"] = f"reports/metrics/{cell}.json"
    stages = {
        address: {
            "cmd": f"mnist-diffusion {address}",
            "deps": [{"path": ".code/x.json", "md5": "source", "size": 1}],
            "params": {"params.yaml": {"compute": "cpu", "seed": 0}},
            "outs": [{"path": path, "md5": f"{path} as committed", "size": 1}],
        }
        for address, path in outs.items()
    }
    YAML().dump({"schema": "2.0", "stages": stages}, paths.LOCK)
    ran(stages, "yesterday")
    commit(tmp_path, "results")
    ran(stages, "today")
    return settings


def ran(addresses, day):
    for address in addresses:
        write_json(paths.timing_of(address), {"finished": day})


def replace(old, new):
    text = paths.LOCK.read_text()
    assert old in text
    paths.LOCK.write_text(text.replace(old, new))


def move(settings, logs, images="0" * 64):
    """Another training of some cells: other images, other scores, other MD5s."""
    for cell, one in judged(settings, LOGS | logs, 0.05).items():
        if cell in logs:
            made = one.model_dump(mode="json")
            made["samples_sha256"] = images or made["samples_sha256"]
            write_json(paths.metrics(cell), made)
            replace(f"samples/{cell} as committed", "else")
            replace(f"metrics/{cell}.json as committed", "else")


def told(capsys, code, of=None):
    with pytest.raises(Exit) as ended:
        verify(of, as_json=True)
    assert ended.value.exit_code == code
    return json.loads(capsys.readouterr().out)


def test_the_same_bits(committed, capsys):
    found = told(capsys, 0)
    assert (found["verdict"], found["scores"]) == ("same bits", [])
    assert found["outside"] == {"found": 0, "expected": 0, "by_chance": 0}
    assert found["outputs"]["sample"]["same"] == len(committed.cells)
    assert found["stages"]["ran_since"] == found["stages"]["all"]
    ran([f"sample@{cell}" for cell in committed.cells], "yesterday")
    found = told(capsys, 0)
    samples = found["outputs"]["sample"]
    assert (samples["same"], samples["not_run"]) == (0, len(committed.cells))  # no evidence
    ran(read_yaml(paths.LOCK)["stages"], "yesterday")
    assert told(capsys, 2)["verdict"] == "unverified"  # nothing was repeated


def test_other_scores_within_the_interval(committed, capsys):
    move(committed, {"a-0": -4.2, "b-1": -2.5})
    found = told(capsys, 0)
    assert found["verdict"] == "reproduced"
    assert {(one["cell"], one["inside"]) for one in found["scores"]} == {
        ("a-0", True),
        ("b-1", True),
    }
    assert found["outputs"]["sample"]["other"] == ["data/samples/a-0", "data/samples/b-1"]


def test_more_outside_than_by_chance(committed, capsys):
    move(committed, {name: value + 0.6 for name, value in LOGS.items()})
    found = told(capsys, 1)
    assert found["verdict"] == "not reproduced"
    assert found["outside"]["expected"] == pytest.approx(0.05 * 2 * len(NAMES))
    assert found["outside"]["found"] == 2 * len(NAMES) > found["outside"]["by_chance"] > 0
    assert not any(one["far"] for one in found["scores"])


def test_one_that_is_three_deviations_off_is_outside(committed, capsys):
    varies = SQUARES / 10 - 0.05**2
    off = 3 * math.sqrt(2 * varies + 2 * 0.05**2)
    move(committed, {"b-0": LOGS["b-0"] + off, "b-1": -3.0})
    outside = {one["cell"] for one in told(capsys, 0)["scores"] if not one["inside"]}
    assert outside == {"b-0"}  # of so many trainings, one may be


def test_one_that_is_far_outside(committed, capsys):
    move(committed, {"a-0": -1.0, "b-0": -3.1})
    assert {one["cell"] for one in told(capsys, 1)["scores"] if one["far"]} == {"a-0"}
    with pytest.raises(Exit, match="1"):
        verify()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("a-0: relative FD∞ 36.79 %, committed 1.83 %: far outside")
    assert lines[-1].endswith("verdicts the same: not reproduced")


def test_another_score_of_the_same_images_is_no_luck(committed, capsys):
    move(committed, {"a-0": -3.9}, images=None)
    assert told(capsys, 1)["scores"][0]["far"]


def test_a_verdict_that_is_reversed(committed, capsys):
    report = json.loads(paths.CLAIMS.read_text())
    holding = next(k for k, one in report["claims"].items() if one["outcome"] == "holds")
    replace("claims.json as committed", "else")
    for outcome, code in (("fails", 1), ("unresolved", 0)):
        report["claims"][holding]["outcome"] = outcome
        write_json(paths.CLAIMS, report)
        verdicts = told(capsys, code)["verdicts"]
        assert verdicts[f"claim {holding}"] == {"committed": "holds", "here": outcome}


def test_on_another_machine_what_names_it_is_no_difference(committed, capsys, tmp_path):
    """Every manifest and report has other bytes there; its reports are brought in a folder."""
    shutil.copytree(paths.REPORTS, tmp_path / "there/reports")
    replace("as committed", "of another machine")
    replace("compute: cpu", "compute: cuda")
    paths.LOCK.rename(tmp_path / "there/dvc.lock")
    for path in (paths.CLAIMS, *map(paths.metrics, committed.cells)):
        other = {"environment": {"cpu": "another"}, "made_from": {"x": "0" * 64}}
        fake_results.change(tmp_path / "there" / path, **other)
    one = {"environment": {"cpu": "a third", "numerics": "0f"}}
    fake_results.change(tmp_path / "there" / paths.metrics("a-0"), **one)
    with (tmp_path / "there" / paths.TABLES / "provenance.csv").open("a") as table:
        table.write(f"a-1,{'e' * 64}\n")  # one of its cells was not drawn again
    shutil.rmtree(paths.REPORTS)
    found = told(capsys, 0, of=tmp_path / "there")
    assert found["verdict"] == "reproduced"
    assert found["outputs"]["sample"]["same"] == len(committed.cells)
    assert found["outputs"]["train"]["other"] == ["models/a-1"]
    assert found["outputs"]["claims"]["same"] == 1
    assert found["outputs"]["prepare"]["not_told"] == ["data/prepared"]
    assert found["environment"]["here"] == {"cpu": "a third or another", "numerics": "0f"}


def test_what_is_no_repetition_or_is_not_complete_is_refused(committed):
    with pytest.raises(UserError, match="nowhere: has no results"):
        verify(commit="nowhere")
    paths.metrics("a-0").unlink()
    with pytest.raises(UserError, match=r"reports/metrics/a-0\.json: not found; run `dvc repro`"):
        verify()
    replace("md5: source", "md5: other")
    with pytest.raises(UserError, match=r"dvc\.lock: claims: not made by the commit's source"):
        verify(Path())
