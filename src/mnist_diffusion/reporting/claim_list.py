"""The source document's claims, in its order, each with the rule that judges it."""

from __future__ import annotations

from mnist_diffusion.reporting import sampling_claims as sampling
from mnist_diffusion.reporting import training_claims as training
from mnist_diffusion.reporting.claims import Claim, JudgedClaim, untestable
from mnist_diffusion.reporting.results import Results

FORWARD, REVERSE, LOOP = "Forward diffusion", "Reverse process", "Training loop"
SAMPLING, GUIDANCE = "Sampling", "Classifier-free guidance"

CLAIMS = [
    Claim(
        "closed-form",
        "We can jump to any timestep in closed form, instead of running all T steps.",
        FORWARD,
        "Mean and variance of q(xₜ | x₀) are carried through every link of the chain, from the "
        "betas each run was trained with, and compared with √ᾱ and 1 − ᾱ; it holds below "
        f"{training.EXACT:.0e}. The test suite has the same proof (tests/unit/test_forward.py).",
        training.closed_form,
    ),
    Claim(
        "signal-destroyed",
        "Over many steps the signal is completely destroyed: ᾱ decays to nearly 0.",
        FORWARD,
        "The signal √ᾱ left at the last timestep of each schedule; none is left below "
        f"{training.DESTROYED:g}.",
        training.signal_destroyed,
    ),
    Claim(
        "predict-noise",
        "Predicting the noise instead of the clean image gives more stable gradients.",
        REVERSE,
        "Two runs that differ in the network's output alone, with the same loss, seed and data. "
        "Jitter is the spread of the log gradient norm about its running median after the first "
        "fifth of training, its ratio with a bootstrap interval over logged windows. It holds if ε "
        "is steadier and its images are no worse under either feature extractor.",
        training.predict_noise,
    ),
    Claim(
        "importance-sampling",
        "Importance sampling of timesteps can speed up convergence by 20–40 %.",
        LOOP,
        "FD along the training of two runs that differ in the draw of timesteps alone: the images "
        "that each needs for every FD that the plain run newly reaches in the later half of its "
        f"training. It holds if {100 * training.LEAST_SAVING:.0f} % are saved at all, fails if at "
        "none.",
        training.importance,
    ),
    Claim(
        "p2-improves",
        "P2 weighting significantly improves sample quality.",
        LOOP,
        "Two runs that differ in the loss alone: relative FD under both feature extractors, paired "
        "where it was computed. It holds if P2 is better by both, fails if it is worse by both.",
        training.p2_improves,
    ),
    Claim(
        "p2-middle",
        "P2 emphasises the middle timesteps.",
        LOOP,
        "The weight that P2 gives the ε-MSE under the schedule of its run, averaged over thirds of "
        "the timesteps; it holds if the middle third weighs most.",
        training.p2_middle,
    ),
    Claim(
        "ddim",
        "DDIM can skip steps, to 20–50 of them, with minimal loss of quality.",
        SAMPLING,
        f"DDIM cells of 20 to 50 steps against DDPM in {sampling.SOURCE_STEPS:,}, same run and "
        "noise. Little is lost if the whole interval of the difference is below "
        f"{100 * sampling.MARGIN:.0f} % of DDPM's relative FD. It holds if all lose little under "
        "both feature extractors, fails if all lose more.",
        sampling.ddim,
    ),
    Claim(
        "higher-order",
        "DPM-Solver++ takes fewer steps: an ODE solver of higher order.",
        SAMPLING,
        "DPM-Solver++(2M) with at most half the network evaluations of each DDIM cell of 20 to 50 "
        "steps; it holds if for each one is not worse under either feature extractor.",
        sampling.higher_order,
    ),
    Claim(
        "thousand-passes",
        "The standard DDPM sampler takes 1000 forward passes for an image.",
        SAMPLING,
        "Network evaluations, counted while drawing.",
        sampling.thousand_passes,
    ),
    Claim(
        "too-slow",
        "Nobody should ship the naive 1000-step sampler: it is painfully slow.",
        SAMPLING,
        f"Every sampler with at most 1/{sampling.CHEAP} of its network evaluations is compared "
        "with it; it holds if one is no worse, and so the 1000 steps buy nothing.",
        sampling.too_slow,
    ),
    Claim(
        "coarse-first",
        "Coarse structure appears first, fine details fill in during the last steps.",
        SAMPLING,
        "The path of the headline's first images, split into coarse and fine frequencies: after "
        "which share of the steps each correlates by half or more with the finished image.",
        sampling.coarse_first,
    ),
    Claim(
        "label-dropout",
        "Dropping the label some of the time (say 10 %) teaches the network both conditional and "
        "unconditional generation.",
        GUIDANCE,
        "One run at s = 1 and s = 0, the latter against a run trained without labels. It holds if "
        "the digit asked for comes in more than half of the images, and FD without the label is no "
        "worse under either feature extractor. Other shares were not tried.",
        sampling.label_dropout,
    ),
    Claim(
        "guidance-ends",
        "At s = 1 you get the raw conditional model, at s = 0 unconditional generation.",
        GUIDANCE,
        "Labels, network evaluations and accuracy of the cells at both ends.",
        sampling.guidance_ends,
    ),
    Claim(
        "guidance-twice",
        "Guidance runs the model twice, once with the prompt and once without.",
        GUIDANCE,
        "Network evaluations a step, counted while drawing.",
        sampling.guidance_twice,
    ),
    Claim(
        "guidance-trade",
        "A higher guidance scale means stronger adherence, at the cost of diversity.",
        GUIDANCE,
        "Accuracy (adherence) at its highest and recall (diversity) at the largest s, against "
        "s = 1; each counts where the intervals are apart.",
        sampling.guidance_trade,
    ),
    Claim(
        "photo-range",
        "For photorealistic images a guidance scale of 5–8 works well.",
        "Practical guidance scale ranges",
        "Needs photographs.",
        sampling.photo_range,
    ),
    Claim(
        "over-guided",
        "Values above 7–8 tend to produce over-saturated, artifact-heavy images.",
        GUIDANCE,
        f"Three signs at every s above {sampling.EXCESS:g}: stroke pixels full more than "
        f"{sampling.MORE:g} times as often as in real digits, more than {sampling.MORE:g} times "
        "their ink, and the interval of FD above that of the best s. It holds if all three are "
        "there, fails if none is.",
        sampling.over_guided,
    ),
    Claim(
        "latent",
        "Diffusion in a VAE's latent space is some 192 times cheaper; the VAE caps its quality.",
        "Connection to Stable Diffusion",
        "Needs runs on latents beside runs on pixels.",
        untestable("No run works in a latent space."),
    ),
    Claim(
        "text",
        "Guidance steers generation with a text prompt.",
        GUIDANCE,
        "Needs runs that are conditioned on text.",
        untestable("No run is asked by a text."),
    ),
    Claim(
        "schedules-differ",
        "Linear, cosine and quadratic noise schedules are worth comparing.",
        "Exercises",
        "Runs that differ in the schedule alone, drawn alike, within each conditioning and "
        "guidance. It holds if everywhere one schedule is better than each other under both "
        "feature extractors, and depends if only somewhere, or only under the classifier's.",
        training.schedules_differ,
    ),
]


def judged_claims(results: Results) -> list[JudgedClaim]:
    """Every claim with what the numbers say of it."""
    return [claim.judge(results) for claim in CLAIMS]
