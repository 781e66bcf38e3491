"""The fast tests against a core that is wrong in one place: each mutant must turn one red.

`make test-slow` runs it. A mutant is an exact piece of text, so a refactor that moves a formula has
to bring its mutant along.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import pytest
from breaking import replaced

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
UNIT = (
    *("schedules", "forward", "timesteps", "spacings", "guidance", "sampling", "training"),
    *("training_state", "resumption", "threads", "files", "lineage", "source"),
    *("attributes", "captions", "codecs", "encoders", "training_encoders", "latent_space"),
    *("zero_shot", "text_runs", "inpainting", "distillation", "settings"),
)
LONG = (
    *("gaussian_oracle", "training_state", "lineage", "source", "sampling", "training"),
    "sampler_properties",
)
"""The longest first."""
CORE_TESTS = sorted(
    [
        *(f"unit/test_{name}.py" for name in UNIT),
        *(
            path.relative_to(TESTS).as_posix()
            for folder in ("conformance", "properties")
            for path in sorted((TESTS / folder).glob("test_*.py"))
        ),
    ],
    key=lambda tests: [tests.endswith(f"/test_{name}.py") for name in LONG],
)
"""These last, for a mutant is dead at the first red test."""

Mutant = tuple[str, str, str]
"""A file of the package, a text that stands in it once, and what stands there instead."""

SCHEDULES: dict[str, Mutant] = {
    name: ("diffusion/schedules.py", right, wrong)
    for name, right, wrong in [
        ("linear betas not scaled to T", "scale = 1000 / timesteps", "scale = 1.0"),
        ("quadratic without its square", "roots**2", "roots"),
        ("cosine with ten times the offset", "= 0.008", "= 0.08"),
        ("cosine beta clipped early", "= 0.999)", "= 0.9)"),
        (
            "beta in the place of alpha",
            "torch.cumprod(1 - self.betas",
            "torch.cumprod(self.betas",
        ),
        (
            "sigma squared",
            "alpha_bar.sqrt(), (1 - alpha_bar).sqrt()",
            "alpha_bar.sqrt(), 1 - alpha_bar",
        ),
        (
            "half-log-SNR upside down",
            "torch.log(self.alpha) - torch.log(self.sigma)",
            "torch.log(self.sigma) - torch.log(self.alpha)",
        ),
        ("SNR without its square", "(self.alpha / self.sigma) ** 2", "(self.alpha / self.sigma)"),
        ("rectified flow that starts from T", "+ 0.5) / timesteps", "+ 1.0) / (timesteps + 1)"),
        (
            "rectified flow of amplitudes, not of variances",
            "(1 - time) ** 2 / ((1 - time) ** 2 + time**2)",
            "(1 - time)",
        ),
        ("terminal signal shifted, not stretched", " * signal[0] / (signal[0] - signal[-1])", ""),
        ("terminal SNR of alpha, not its square", "(signal / before) ** 2", "(signal / before)"),
    ]
}
FORWARD: dict[str, Mutant] = {
    name: (f"diffusion/{file}.py", right, wrong)
    for name, file, right, wrong in [
        (
            "closed form with sigma squared",
            "forward",
            "at.sigma.to(x0) * noise",
            "at.sigma.to(x0) ** 2 * noise",
        ),
        ("chain that does not shrink", "forward", "(1 - beta).sqrt()", "(1 - beta)"),
        (
            "the respaced beta dropped",
            "forward",
            "1 - (noisy.alpha / cleaner.alpha) ** 2",
            "1 - noisy.alpha / cleaner.alpha",
        ),
        (
            "posterior variance without the ratio of sigmas",
            "forward",
            ".sqrt() * cleaner.sigma / noisy.sigma",
            ".sqrt()",
        ),
        (
            "posterior mean with the noisy alpha",
            "forward",
            "cleaner.alpha * step_beta",
            "noisy.alpha * step_beta",
        ),
        (
            "posterior mean that forgets sigma",
            "forward",
            " * (cleaner.sigma / noisy.sigma) ** 2",
            "",
        ),
        (
            "epsilon read with the wrong sign",
            "predictions",
            "x_t - at.sigma.to(x_t) * output) /",
            "x_t + at.sigma.to(x_t) * output) /",
        ),
        (
            "v with the wrong sign",
            "predictions",
            "at.alpha.to(x0) * noise - at.sigma",
            "at.alpha.to(x0) * noise + at.sigma",
        ),
        (
            "v read with alpha for sigma",
            "predictions",
            "x_t - at.sigma.to(x_t) * output\n",
            "x_t - at.alpha.to(x_t) * output\n",
        ),
        ("error of x0 upside down", "predictions", "return 1 / at.sigma", "return at.sigma"),
        ("error of epsilon upside down", "predictions", "return 1 / at.alpha", "return at.alpha"),
        (
            "epsilon-MSE without its square",
            "weightings",
            "return at.alpha**2\n",
            "return at.alpha\n",
        ),
        ("x0-MSE without its square", "weightings", "return at.sigma**2\n", "return at.sigma\n"),
        ("P2 without k", "weightings", "(k + at.snr)", "(at.snr)"),
        ("P2 turned round", "weightings", "/ (k + at.snr) ** gamma", "* (k + at.snr) ** gamma"),
        ("min-SNR that is max-SNR", "weightings", "clamp(max=gamma)", "clamp(min=gamma)"),
        ("min-SNR on v, not x0", "weightings", "at.sigma**2 * at.snr", "at.snr"),
        ("unit mean that is none", "weightings", "chosen(at) / mean", "chosen(at) * mean"),
    ]
}
TIMESTEPS: dict[str, Mutant] = {
    name: (f"diffusion/{file}.py", right, wrong)
    for name, file, right, wrong in [
        ("strata without the random offset", "timesteps", ") + offset)", ") + 0.5)"),
        (
            "importance by the mean, not its square",
            "timesteps",
            ".square().mean(dim=1).sqrt()",
            ".mean(dim=1)",
        ),
        (
            "importance that is not undone",
            "timesteps",
            "1 / (self.timesteps * likely[t])",
            "self.timesteps * likely[t]",
        ),
        (
            "importance without warm-up",
            "timesteps",
            "(self._seen < history).any()",
            "(self._seen < 0).any()",
        ),
        (
            "importance that never stops warming up",
            "timesteps",
            "self._seen[step] += 1",
            "self._seen[step].clamp_(min=1)",
        ),
        ("importance without the uniform share", "timesteps", " + share / self.timesteps", ""),
        ("a state that forgets the counts", "timesteps", 'self._seen.copy_(state["seen"])', "pass"),
        (
            "a Laplace density of twice the scale",
            "timesteps",
            "(location - log_snr) / scale",
            "(location - log_snr) / (2 * scale)",
        ),
        (
            "a Laplace density of noise-to-signal",
            "timesteps",
            "(location - log_snr) / scale",
            "(location + log_snr) / scale",
        ),
        ("logit-normal in log-SNR", "timesteps", "-log_snr / 2 - mean", "-log_snr - mean"),
        ("logit-normal upside down", "timesteps", "-log_snr / 2 - mean", "log_snr / 2 - mean"),
        ("a density of half-log-SNR", "timesteps", "log_snr = 2 * schedule", "log_snr = schedule"),
        (
            "a density cut at the timesteps, not between them",
            "timesteps",
            "(log_snr[:-1] + log_snr[1:]) / 2",
            "log_snr[1:]",
        ),
        (
            "a density that is weighted back",
            "timesteps",
            "right=True)\n        return t, torch.ones(count, dtype=torch.float64)",
            "right=True)\n        return t, 1 + t.double() / self.timesteps",
        ),
        ("T for T - 1", "spacings", "np.arange(count, 0,", "np.arange(count - 1, 0,"),
        ("trailing shifted by one", "spacings", "int(t) - 1 for", "int(t) - 2 for"),
        (
            "leading that leads by a stride",
            "spacings",
            "k * stride for",
            "(k + 1) * stride - 1 for",
        ),
        (
            "linspace to T",
            "spacings",
            "np.linspace(schedule.timesteps - 1, 0,",
            "np.linspace(schedule.timesteps - 2, 0,",
        ),
        (
            "log-SNR steps that repeat",
            "spacings",
            "return _distinct([*start, *nearest.tolist()])",
            "return [*start, *nearest.tolist()]",
        ),
    ]
}
GUIDANCE: dict[str, Mutant] = {
    name: (f"diffusion/{file}.py", right, wrong)
    for name, file, right, wrong in [
        (
            "guidance off by one (w for s)",
            "guidance",
            "unguided, scale)",
            "unguided, scale + 1)",
        ),
        (
            "s = 1 unconditional",
            "guidance",
            "if scale == 1:\n        return denoiser",
            "if scale == 1:\n        return guide",
        ),
        (
            "an interval turned inside out",
            "guidance",
            "not _within(interval, at)",
            "_within(interval, at)",
        ),
        (
            "an unguided call that is made and thrown away",
            "guidance",
            "if scale == 1:",
            "if scale == -1:",
        ),
        (
            "guidance towards the guide",
            "guidance",
            "torch.lerp(guide(x, at), unguided, scale)",
            "torch.lerp(unguided, guide(x, at), scale)",
        ),
        (
            "rescaling the wrong way",
            "guidance",
            "torch.ones_like(ratio), ratio, phi",
            "ratio, torch.ones_like(ratio), phi",
        ),
        (
            "contrast over the whole batch",
            "guidance",
            "range(1, guided.ndim)",
            "range(guided.ndim)",
        ),
        ("contrast divided by where there is none", "guidance", "contrast > 0", "contrast >= 0"),
        ("clipping at twice the range", "bounds", "clamp(-1, 1)", "clamp(-2, 2)"),
        (
            "dynamic bound that never scales",
            "bounds",
            ".clamp(-limit, limit) / limit",
            ".clamp(-limit, limit)",
        ),
        ("dynamic bound that brightens", "bounds", ".clamp(min=1).view", ".view"),
    ]
}
SAMPLERS: dict[str, Mutant] = {
    name: (f"diffusion/samplers/{file}.py", right, wrong)
    for name, file, right, wrong in [
        ("ddpm's variances swapped", "ddpm", "if large else", "if not large else"),
        ("ddpm with noise on the last step", "ddpm", "if there.sigma > 0:", "if True:"),
        ("ddpm with its std squared", "ddpm", "(eta * std)", "(eta * std**2)"),
        (
            "ddim that forgets the noise it adds",
            "ddim",
            "(there.sigma**2 - spread**2)",
            "(there.sigma**2)",
        ),
        (
            "ddim with the noise of another level",
            "ddim",
            "to_epsilon(x0, x, here)",
            "to_epsilon(x0, x, there if there.sigma > 0 else here)",
        ),
        (
            "the step with the wrong alpha",
            "exponential",
            "(there.alpha * torch.expm1",
            "(here.alpha * torch.expm1",
        ),
        ("the step turned round", "exponential", "torch.expm1(-h)", "torch.expm1(h)"),
        (
            "consistency with the noise of the level before",
            "consistency",
            "add_noise(x0, noise(), there)",
            "add_noise(x0, noise(), here)",
        ),
        ("heun that does not look ahead", "heun", "denoise(ahead, there)", "denoise(x, here)"),
        ("heun at the wrong level", "heun", "denoise(ahead, there)", "denoise(ahead, here)"),
        (
            "dpm-solver without the last-step rule",
            "dpm_solver",
            "if there.sigma == 0:",
            "if False:",
        ),
        ("dpm-solver extrapolating backwards", "dpm_solver", "x0 + slope / 2", "x0 - slope / 2"),
        ("dpm-solver without the half", "dpm_solver", "x0 + slope / 2", "x0 + slope"),
        (
            "dpm-solver with the ratio upside down",
            "dpm_solver",
            "((now - before) / h)",
            "(h / (now - before))",
        ),
        ("third order without its curve", "dpm_solver", "+ curve_factor.to(x) * curve", ""),
        (
            "third order with the curve's sign flipped",
            "dpm_solver",
            "curve_factor = 1 - 2 * ",
            "curve_factor = -1 + 2 * ",
        ),
        (
            "third order with half its curve, as diffusers has it",
            "dpm_solver",
            "1 - 2 * (torch.expm1(-h) + h)",
            "0.5 - (torch.expm1(-h) + h)",
        ),
        ("history in the wrong order", "dpm_solver", "past.appendleft", "past.append"),
    ]
}
AROUND: dict[str, Mutant] = {
    name: (file, right, wrong)
    for name, file, right, wrong in [
        (
            "one generator for all images",
            "runtime/seeds.py",
            "generator(root, purpose, index) for index",
            "generator(root, purpose) for index",
        ),
        (
            "streams that share a seed",
            "runtime/seeds.py",
            "{root}/{purpose}/{index}",
            "{root}/{index}",
        ),
        (
            "a tail that is not padded",
            "sampling/draw.py",
            "indices = range(first, first + sample.micro_batch)",
            "indices = range(first, first + wanted)",
        ),
        (
            "images with their neighbours' noise",
            "sampling/draw.py",
            "indices = range(first, first + sample.micro_batch)",
            "indices = range(first, first + sample.micro_batch)[::-1]",
        ),
        (
            "an average without warm-up",
            "training/optim.py",
            "min(self._decay, (1 + self._updates) / (10 + self._updates))",
            "self._decay",
        ),
        (
            "labels that are never dropped",
            "training/denoising.py",
            "masked_fill(dropped, self._asking.nothing)",
            "masked_fill(dropped & False, self._asking.nothing)",
        ),
        (
            "a loss on the output, whatever it is",
            "training/denoising.py",
            "error * self._column(self._prediction.velocity_factor(at) ** 2)",
            "error",
        ),
        (
            "losses that the importance sampler never sees",
            "training/denoising.py",
            "self.timesteps.observe(t, losses.detach().cpu())",
            "pass",
        ),
        (
            "importance without its weights",
            "training/denoising.py",
            "(losses * self._column(unbias)).mean()",
            "losses.mean()",
        ),
        (
            "a learning rate that does not fall",
            "training/loop.py",
            'if recipe.decay == "cosine"',
            'if recipe.decay == "none"',
        ),
        (
            "Muon without orthogonalising",
            "training/optim.py",
            "orthogonalise(direction).view_as",
            "direction.contiguous().view_as",
        ),
        (
            "gradients of the first part alone",
            "training/data_parallel.py",
            "torch._foreach_add_(total, gradients)",
            "pass",
        ),
        (
            "parts that get their neighbours' gradients",
            "training/data_parallel.py",
            "zip(ctx.outputs, own_pieces",
            "zip(ctx.outputs[::-1], own_pieces",
        ),
        (
            "kernels on as many threads as there are",
            "runtime/threads.py",
            "torch.set_num_threads(1)",
            "pass",
        ),
        (
            "a call of the network that counts twice",
            "sampling/denoiser.py",
            "self.counter.calls += 1",
            "self.counter.calls += 2",
        ),
        (
            "a guide whose calls do not count",
            "sampling/denoiser.py",
            "_Counted(self.early, counter) if self.early is not None else None",
            "self.early",
        ),
        (
            "a guide with the run's own weights",
            "sampling/denoiser.py",
            "self.early if guide.early else self.network",
            "self.network",
        ),
        (
            "a snapshot that is never asked for a digit",
            "sampling/denoiser.py",
            "asked if guide.labelled else",
            "asked if guide.labelled and not guide.early else",
        ),
        (
            "snapshots counted from 0",
            "sampling/denoiser.py",
            "kept[number - 1][1]",
            "kept[number][1]",
        ),
        (
            "a snapshot loaded into the run's own network",
            "sampling/denoiser.py",
            "early = deepcopy(network)",
            "early = network",
        ),
        (
            "snapshots by name, not by step",
            "networks/checkpoint.py",
            'sorted((int(path.stem), path) for path in (folder / SNAPSHOTS).glob("*"))',
            '[(int(path.stem), path) for path in sorted((folder / SNAPSHOTS).glob("*"))]',
        ),
        (
            "digits asked of a run without labels",
            "settings/sampling.py",
            'return conditioning != "uncond" and self.guidance != 0',
            "return self.guidance != 0",
        ),
    ]
}
ENCODERS: dict[str, Mutant] = {
    name: (file, right, wrong)
    for name, file, right, wrong in [
        ("slant with the wrong sign", "dataset/attributes.py", "arctan(-shear)", "arctan(shear)"),
        (
            "a stroke that is too thick",
            "dataset/attributes.py",
            "distances[ink].mean() - 2)",
            "distances[ink].mean())",
        ),
        ("a bar without its own pixels", "dataset/attributes.py", "0.0) + 1)", "0.0))"),
        (
            "what is not asked is never true",
            "dataset/levels.py",
            "np.ones((len(levels) + 1",
            "np.zeros((len(levels) + 1",
        ),
        (
            "held out by thickness alone",
            "dataset/levels.py",
            "return thick & leaning",
            "return thick",
        ),
        ("the thick called thin", "dataset/grammar.py", "{0: 1, 4: 3}", "{0: 1, 4: 1}"),
        (
            "commas that are no words",
            "dataset/grammar.py",
            '.replace(",", " , ")',
            '.replace(",", " ")',
        ),
        ("negation let through", "dataset/prompts.py", "if word in NEGATIONS or", "if"),
        (
            "a divergence twice as large",
            "networks/codecs.py",
            "return 0.5 * excess",
            "return excess",
        ),
        (
            "variance for deviation",
            "networks/codecs.py",
            "torch.exp(0.5 * self.log_variance)",
            "torch.exp(self.log_variance)",
        ),
        (
            "padding that is looked at",
            "networks/encoders.py",
            "attn_mask=there[:, None, None, :]",
            "attn_mask=None",
        ),
        (
            "a scale that forgets what is drawn",
            "networks/latent_scale.py",
            "variance += deviations.double().square().mean(dim=(0, 2, 3))",
            "pass",
        ),
        (
            "means in the place of draws",
            "training/examples.py",
            "means + self.deviations[chosen] * noise",
            "means",
        ),
        (
            "a codec that may say all it likes",
            "training/compression.py",
            "error.mean() + self._weight * divergence.mean()",
            "error.mean()",
        ),
        (
            "captions of other images",
            "training/contrast.py",
            "truth(asked, levels)",
            "truth(asked, levels[::-1])",
        ),
        ("ends hidden as words are", "training/contrast.py", "hidden & (tokens > END)", "hidden"),
        (
            "losses that are not restored",
            "training/resumable.py",
            'self.rows[:] = facts["rows"]',
            "pass",
        ),
        (
            "what is held out thought to be seen",
            "evaluation/adherence.py",
            "extreme & ~held",
            "extreme",
        ),
        (
            "words said where nothing is asked",
            "sampling/denoiser.py",
            "return asked if cell.asks(self.conditioning) else self._nothing_like(asked)",
            "return asked",
        ),
        (
            "the same caption at every step",
            "training/asking.py",
            'streams("captions", step)',
            'streams("captions", 0)',
        ),
        (
            "nothing heard as something",
            "networks/unet.py",
            "torch.where(anything, self.wish(of_unit_variance), self.nothing)",
            "self.wish(of_unit_variance)",
        ),
        (
            "a scale of the first batch",
            "networks/latent_scale.py",
            "variance = means.double().var(",
            "variance = means[:64].double().var(",
        ),
        (
            "a clip of latents let through",
            "settings/whole.py",
            'if run.codec and cell.x0_bound != "none":',
            "if False:",
        ),
        (
            "captions of other digits",
            "training/asking.py",
            "self.levels[chosen.numpy()]",
            "self.levels[chosen.numpy() - 1]",
        ),
        (
            "a held-out corner that is one of another digit",
            "dataset/levels.py",
            "np.asarray(self.codes)[levels[:, DIGIT]]",
            "np.asarray(self.codes)[levels[:, DIGIT] - 1]",
        ),
        (
            "all looks as common",
            "sampling/wishes.py",
            "COMMON = ((0.05, 0.25, 0.75, 0.95)",
            "COMMON = ((0.2, 0.4, 0.6, 0.8)",
        ),
        (
            "known halves without noise",
            "diffusion/inpainting.py",
            "add_noise(known, noise, at), x), at)",
            "known, x), at)",
        ),
        (
            "a known half that is predicted",
            "diffusion/inpainting.py",
            "return torch.where(where, known, x0)",
            "return x0",
        ),
        (
            "halves of other digits",
            "sampling/known.py",
            "self.digits[k % 10][k // 10",
            "self.digits[(k + 1) % 10][k // 10",
        ),
        ("the other half", "sampling/known.py", "where[DRAWN[drawn]] = False", "where = ~where"),
        (
            "a seam across the other edge",
            "evaluation/seams.py",
            'if drawn in ("upper", "lower")',
            'if drawn in ("left", "right")',
        ),
        (
            "ranks that start at 1",
            "evaluation/zero_shot.py",
            "ranks - yes * (yes + 1) / 2",
            "ranks",
        ),
    ]
}
RESUMING: dict[str, Mutant] = {
    name: (file, right, wrong)
    for name, file, right, wrong in [
        (
            "weights that are not restored",
            "training/learner.py",
            'self.network.load_state_dict(within("network", tensors))',
            "pass",
        ),
        (
            "an average that is not restored",
            "training/learner.py",
            'self.average.restore(within("average", tensors))',
            "pass",
        ),
        (
            "an average that warms up again",
            "training/optim.py",
            'self._updates = int(state["updates"])',
            "pass",
        ),
        (
            "losses by timestep that are not restored",
            "training/run_state.py",
            'self.timesteps.restore(within("timesteps", tensors))',
            "pass",
        ),
        (
            "a history without its open window",
            "training/run_state.py",
            'for n in facts["window"]]',
            "for n in []]",
        ),
        (
            "optimisers that are not restored",
            "training/learner.py",
            "state[parameter] = {key: _laid_out_like(parameter, t) for key, t in values.items()}",
            "pass",
        ),
        (
            "momentum in another memory format",
            "training/learner.py",
            "torch.empty_like(pattern, device=parameter.device, requires_grad=False).copy_(value)",
            "value.clone()",
        ),
        (
            "training that begins at step 0 again",
            "training/loop.py",
            "range(start, recipe.steps)",
            "range(0, recipe.steps)",
        ),
        (
            "randomness from the global generator",
            "training/epochs.py",
            'return generator(self._seed, f"{self._name}/{purpose}", index)',
            "return torch.default_generator",
        ),
        ("a state that is not synced", "files/atomic.py", "os.fsync(file.fileno())", "pass"),
        ("a name that is not synced", "files/atomic.py", "os.fsync(descriptor)", "pass"),
        (
            "a state written in place",
            "files/atomic.py",
            'temporary = path.with_name(f".{path.name}.{os.getpid()}")',
            "temporary = path",
        ),
        (
            "a state that is not checked",
            "runtime/resumption.py",
            'if metadata.get("digest") != _digest(tensors, self._key, text):',
            "if False:",
        ),
        (
            "a batch that is drawn although it is there",
            "sampling/draw.py",
            "if k not in skip]",
            "]",
        ),
        (
            "images drawn again at another place of the batch",
            "sampling/draw.py",
            "asked = {index % sample.micro_batch: index for index in waiting}",
            "asked = dict(enumerate(sorted(waiting)[: sample.micro_batch]))",
        ),
    ]
}
HASHING: dict[str, Mutant] = {
    name: (f"provenance/{file}.py", right, wrong)
    for name, file, right, wrong in [
        ("inputs that are not hashed again at the end", "lineage", "if changed:", "if False:"),
        (
            "a folder that is believed to be what its manifest says",
            "lineage",
            'content_digests(map(Path, manifest["files"]))',
            'dict(manifest["files"])',
        ),
        (
            "a key of resumption that forgets the code",
            "lineage",
            "self.parameters, self.code, rounding(",
            "self.parameters, rounding(",
        ),
        ("other source that runs", "source", "if other:", "if False:"),
        (
            "other source than DVC has recorded",
            "source",
            "if read_json(path) != stage_code(stage):",
            "if False:",
        ),
        ("source of which numbers do not count", "source", "return repr(value)", 'return ""'),
        (
            "source whose imports inside functions are not followed",
            "source",
            "for node in ast.walk(_tree(content)):",
            "for node in _tree(content).body:",
        ),
    ]
}
STUDENTS: dict[str, Mutant] = {
    "a student that takes its label for its scale": (
        "networks/students.py",
        "labels, scales = asked.unbind(dim=1)",
        "scales, labels = asked.unbind(dim=1)",
    ),
    "a student that is deaf to its scale": (
        "networks/students.py",
        "super()._wished(labels.long()) + told",
        "super()._wished(labels.long())",
    ),
    "a student that learns means": (
        "training/distillation.py",
        "(x0 - ends).abs()",
        "(x0 - ends).square()",
    ),
    "a student that learns from all points alike": (
        "training/distillation.py",
        "torch.tensor([from_noise, *",
        "torch.tensor([(1 - from_noise) / others, *",
    ),
    "a student that learns from the first of a path's states": (
        "sampling/lessons.py",
        "states[:: cell.steps // points]",
        "states[: points + 1]",
    ),
    "a student that is guided as its teacher": (
        "sampling/denoiser.py",
        "if self.student:",
        "if False:",
    ),
    "a student that is told another path's scale": (
        "stages/distill.py",
        "torch.tensor([scales[k] for k in firsts])",
        "torch.tensor([scales[k] for k in reversed(firsts)])",
    ),
    "a student that learns one scale alone": (
        "stages/distill.py",
        "low + (high - low) * number / last",
        "low",
    ),
    "a student that is drawn at scales it does not know": (
        "settings/whole.py",
        "if not low <= cell.guidance <= high:",
        "if not low <= cell.guidance:",
    ),
}
PAGE: dict[str, Mutant] = {
    name: (f"reporting/playground/{file}", right, wrong)
    for name, file, right, wrong in [
        (
            "a page that is guided towards nothing",
            "assets/diffusion.js",
            "blend(1 - s, guide(x, at), s, plain)",
            "blend(s, guide(x, at), 1 - s, plain)",
        ),
        (
            "a page whose student is deaf to its scale",
            "assets/networks.js",
            "wish.map((v, i) => v + told[i])",
            "wish",
        ),
        (
            "a page whose latents are not on their scale",
            "assets/networks.js",
            "v * this.scale.deviation[Math.floor(i / n)] +",
            "v +",
        ),
        (
            "a page whose judge forgets its norms",
            "assets/networks.js",
            'this.fold("body.8", "body.9");',
            "",
        ),
        (
            "a page that takes memory from a network that computes",
            "assets/layers.js",
            "top + bytes - memory.buffer.byteLength",
            "0",
        ),
        (
            "a page that calls two grey levels rounding",
            "assets/page.js",
            "if (most <= 1)",
            "if (most <= 2)",
        ),
        (
            "a page that does not tell of what it cannot",
            "assets/worker.js",
            "throw reason;",
            "",
        ),
        (
            "a page with scores of other images",
            "page.py",
            'if metrics.samples_sha256 != manifest.outputs["images_sha256"]:',
            "if False:",
        ),
        (
            "a page as large as it likes",
            "page.py",
            "if runs and with_it.size > LARGEST:",
            "if False:",
        ),
        ("a page of runs that bring nothing new", "page.py", "if not brings <= seen:", "if True:"),
    ]
}
FORMATS: dict[str, Mutant] = {
    name: (f"formats/{file}.py", right, wrong)
    for name, file, right, wrong in [
        (
            "the weights of the first of a kind for all",
            "onnx_files",
            "if tensor.name in weights:",
            "if False:",
        ),
        (
            "a decoder of latents on another scale",
            "onnx_files",
            "z * self.deviation + self.mean",
            "z + self.mean",
        ),
        (
            "a sample set under another's digits",
            "croissant",
            '"label": labels,',
            '"label": labels[::-1],',
        ),
        (
            "scores on the card of another's model",
            "model_card",
            "found.setdefault(address, {})[cell] = judged",
            'found.setdefault("train@cosine-class", {})[cell] = judged',
        ),
        (
            "an action that read nothing",
            "crate",
            'object=[*self._data(entry["deps"]), *self._values("setting", settings)],',
            "object=[],",
        ),
        (
            "a file that is not what dvc.lock recorded",
            "export",
            "if md5 and _md5(source, folder, files) != md5:",
            "if False:",
        ),
        (
            "a setting that is not what dvc.lock recorded",
            "export",
            "if value_at(params, key) != value:",
            "if value_at(params, key) is None:",
        ),
    ]
}
YARDSTICKS: dict[str, Mutant] = {
    name: (f"yardsticks/{file}.py", right, wrong)
    for name, file, right, wrong in [
        (
            "digits that nobody published, taken for published",
            "tstr",
            "if not np.array_equal(known, drawn.images[: len(known)]):",
            "if False:",
        ),
        (
            "classifiers of other digits gone on from",
            "tstr",
            "arrays_digest(tensors), judge",
            "judge",
        ),
        (
            "one classifier for all seeds",
            "tstr",
            'update={"seed": judge.seed + seed}',
            'update={"seed": judge.seed}',
        ),
        ("models that are not what they say", "publishing", "digested(folders)[1]", "{}"),
        ("a rule that is not asked for", "speedrun", 'lap["copies_p"] >= self.copies', "True"),
        (
            "a pin that is not looked at",
            "speedrun",
            "if content_digest(path) != wanted:",
            "if False:",
        ),
    ]
}
OWN_TESTS = {
    "formats/crate": "unit/test_crate.py",
    "formats/export": "unit/test_crate.py",
    "formats": "unit/test_formats.py",
    "yardsticks/speedrun": "unit/test_speedrun.py",
    "yardsticks": "unit/test_tstr_yardstick.py",
    "reporting/playground": "browser/test_playground.py",
}
"""Of what the core does not reach, by the beginning of its path."""
MUTANTS = (
    SCHEDULES
    | FORWARD
    | TIMESTEPS
    | GUIDANCE
    | SAMPLERS
    | AROUND
    | ENCODERS
    | STUDENTS
    | PAGE
    | FORMATS
    | YARDSTICKS
    | RESUMING
    | HASHING
)


class Runner:
    """A copy of the repository, and the process that runs files of its tests."""

    def __init__(self, folder: Path):
        for name in ("src", "tests", "docs", "scales", "reports"):
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        beside = ("pyproject.toml", "params.yaml", "dvc.yaml", "CITATION.cff", "LICENSE")
        for name in beside:
            shutil.copy(REPOSITORY / name, folder)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "tests/mutants/runner.py"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: str) -> int:
        """Run a file of tests, up to the first failure; pytest's exit code."""
        assert self.process.stdin and self.process.stdout
        print(f"tests/{tests}", file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def lend(self, published: Path) -> None:
        """A small repository of the core as it is, which takes half a minute to make."""
        place = self.folder / ".work/published"
        if not place.exists():
            place.parent.mkdir()
            place.symlink_to(published)

    def log(self) -> str:
        return (self.folder / "pytest.log").read_text(encoding="utf-8")[-3000:]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(tmp_path_factory.mktemp("mutants"))
    yield runner
    runner.process.communicate()


@pytest.fixture(scope="module")
def sound(runner: Runner, build_once: Callable) -> Callable[[str], object]:
    """Looks at tests over the core as it is, once and before any mutant is shown to them.

    They must pass, or whatever is wrong there would pass for a mutant's death.
    """

    def look(tests: str) -> None:
        assert runner.run(tests) == 0, runner.log()

    return lambda tests: build_once(f"sound {Path(tests).stem}", lambda _: look(tests))


def imported(tests: str) -> set[str]:
    """The modules, and names of modules, that a file of tests imports."""
    tree = ast.parse((TESTS / tests).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return names | {str(node.module) for node in nodes}


def likeliest_first(file: str) -> list[str]:
    """All tests of the core, first those that import the file of the package, then its folder.

    Beyond the core, its own.
    """
    for place, own in OWN_TESTS.items():
        if file.startswith(place):
            return [own]
    parts = ("mnist_diffusion", *Path(file).with_suffix("").parts)
    names = [".".join(parts), ".".join(parts[:-1])]
    return sorted(CORE_TESTS, key=lambda tests: [name not in imported(tests) for name in names])


def test_every_mutant_has_a_place_in_the_source() -> None:
    """Once, and in seconds: so that a refactor is told of its mutants before the slow tests are."""
    package = REPOSITORY / "src/mnist_diffusion"
    counts = {
        name: (package / file).read_text(encoding="utf-8").count(right)
        for name, (file, right, _) in MUTANTS.items()
    }
    assert {name for name, count in counts.items() if count != 1} == set()


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_killed(
    runner: Runner, sound: Callable, request: pytest.FixtureRequest, mutant: str
) -> None:
    name, right, wrong = MUTANTS[mutant]
    if name.endswith(("page.js", "worker.js")) and not chromium.find():
        pytest.skip("no Chromium on this machine: apt install chromium, and run again")
    if name.startswith(("formats", "yardsticks")):
        runner.lend(request.getfixturevalue("published"))
    path = runner.folder / "src/mnist_diffusion" / name
    original = path.read_text(encoding="utf-8")
    assert original.count(right) == 1, (
        f"{name}: {right!r} stands there {original.count(right)} times"
    )
    code = 0
    for tests in likeliest_first(name):
        sound(tests)
        with replaced(path, original.replace(right, wrong).encode()):
            code = runner.run(tests)
        if code:
            break
    # 1 is pytest's code for failed tests; others would be a mutant that does not even import.
    assert code == 1, runner.log()
