"""The report's tables: which cells or runs, which columns of theirs, which are published."""

from __future__ import annotations

import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.reporting import frames, small_frames, summary
from mnist_diffusion.reporting.frames import CELL, DIGITS, KEYS, NONE
from mnist_diffusion.reporting.labels import LOSSES, OUTPUTS, SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.tables import Column, Spec, Table
from mnist_diffusion.settings import Run

TITLES = {name: metric.title for name, metric in METRICS.items()}
UNITS = {name: f"{title}{', %' if METRICS[name].percent else ''}" for name, title in TITLES.items()}
ELSEWHERE = {"fd_infinity", "fd", "relative_fd", "accuracy", "confidence", "second_fd"}
"""What other tables show, itself or relative; the table of metrics has all others."""
OTHERS = {name: metric for name, metric in METRICS.items() if name not in ELSEWHERE}
WITH_INTERVALS = [n for n, metric in OTHERS.items() if metric.compared or metric.kind == "likeness"]
PLAIN = [name for name in OTHERS if name not in WITH_INTERVALS]
COLUMNS = {
    column.key: column
    for column in (
        Column("cell", "cell", links=True),
        Column("name", "cell", links=True),
        Column("own_recipe", "recipe"),
        Column("own_steps", "training steps", "{:,}"),
        Column("training_seconds", "seconds of training", "{:,.0f}"),
        Column("prediction", "network output", names=OUTPUTS),
        Column("weighting", "loss minimised", names=LOSSES),
        Column("timestep_sampling", "timesteps"),
        Column("seed", "training seed"),
        Column("parameters", "parameters", "{:,}"),
        Column("epochs", "epochs", "{:.2f}"),
        Column("last_loss", "last loss", "{:.4f}"),
        Column("images", "training images", "{:,}"),
        Column("changed", "changed", lacking=NONE),
        Column("terminal_snr", "terminal SNR", "{:.2g}"),
        Column("sampler", "sampler", names=SAMPLERS),
        Column("eta", "η", "{:g}"),
        Column("guidance", "guidance s", "{:g}", lacking=NONE),
        Column("guide", "guided by", names={"": NONE}),
        Column("departures", "otherwise", names={"": NONE}),
        Column("first_step_signal", "signal at first step", "{:.2g}"),
        Column("guidance_interval", "guided at", lacking=NONE),
        Column("guidance_rescale", "rescale φ", "{:g}", lacking=NONE),
        Column("network_evaluations", "network evaluations", "{:,}"),
        Column("n", "n", "{:,}"),
        Column("fd", TITLES["fd"], METRICS["fd"].form),
        Column("relative_fd_percent", UNITS["relative_fd"], "{:.2f}", links=True),
        Column("relative_fd_floor_percent", "real test digits at this n, %", "{:.2f}"),
        Column(
            *("fd_infinity_percent", UNITS["fd_infinity"], "{:.2f}", "min"),
            same_n=METRICS["fd_infinity"].depends_on_n,
            links=True,
        ),
        Column("fd_infinity_interval", "95 %"),
        Column("fd_infinity_floor_percent", "real test digits, %", "{:.2f}"),
        Column("class_fd_percent", UNITS["class_fd"], "{:.1f}", lacking=NONE),
        Column("accuracy_percent", UNITS["accuracy"], "{:.1f}", "max", links=True, lacking=NONE),
        Column("confidence_percent", UNITS["confidence"], "{:.1f}"),
        Column("seconds", "seconds", "{:,.1f}"),
        Column("milliseconds_per_image", "ms per image", "{:.2f}"),
        *(Column(digit, digit, "{:.1f}", "max") for digit in DIGITS),
        *(Column(f"{name}_text", UNITS[name]) for name in WITH_INTERVALS),
        *(Column(KEYS[name], UNITS[name], METRICS[name].form, lacking=NONE) for name in PLAIN),
        Column("tstr", "TSTR, %"),
        Column("table", "table", names=TABLE_TITLES),
        Column("metric", "metric", names=TITLES),
        Column("difference", "difference", "{:+.2f}"),
        Column("low", "from", "{:+.2f}"),
        Column("high", "to", "{:+.2f}"),
        Column("p_shown", "p, over the table"),
        Column("ratio_low", "times the baseline's, from", "{:.2f}", lacking=NONE),
        Column("ratio_high", "to", "{:.2f}", lacking=NONE),
        Column("by_others", "by other judges"),
        Column("rank_range", "ranks apart"),
        Column("nearer_by", "nearer to real digits by"),
        *(Column(key, key, "{:.12}") for key in ("weights", "betas", "samples", "classifier")),
        Column("alpha_bar_last", "ᾱ at T", "{:.2e}"),
        Column("log_snr", "log-SNR"),
        Column("drawn_spacing", "spacing"),
        Column("drawn_bound", "bound on x₀"),
        Column("drawn_guidance_interval", "guided at"),
        Column("drawn_guidance_rescale", "rescale φ", "{:g}"),
        Column("space", "space", names={"prepared": "pixels"}),
        Column("values", "values", "{:,}"),
        Column("psnr", "PSNR, dB", "{:.1f}", lacking=NONE),
        Column("fd_infinity_error", "± standard error", "{:.3f}"),
        Column("second_fd_infinity_percent", UNITS["second_fd_infinity"], "{:.2f}"),
        Column("thickness_bias", "thicker by, px", "{:+.3f}", lacking=NONE),
        Column("slant_error", "slant off by, °", "{:.1f}", lacking=NONE),
        Column("high_frequencies", "energy in upper half of band, %", "{:.0f}", lacking=NONE),
        Column("mflop", "MFLOP a U-Net call", "{:.1f}"),
        Column("cheaper", "times cheaper", "{:.1f}"),
        Column("decoding_mflop", "MFLOP to decode", "{:.1f}", lacking=NONE),
        Column("digit_by_word", "digit by its word, %", "{:.1f}"),
        Column("digit_by_numeral", "by its numeral, %", "{:.1f}"),
        Column("thickness_of_three", "thickness of three, %", "{:.1f}"),
        Column("slant_of_three", "slant of three, %", "{:.1f}"),
        Column("thickness_of_two", "thin or thick, %", "{:.1f}"),
        Column("slant_of_two", "left or right, %", "{:.1f}"),
        Column("auc", "true or not, AUC, %", "{:.1f}"),
        Column("held_out_of_four", "held-out corner of four, %", "{:.1f}"),
        *(Column(f"{key}_right", f"{key}, %", "{:.1f}") for key in ("digit", "thickness", "slant")),
        Column("everything", "all, %"),
        Column("held_out_text", "all, never trained together, %"),
        Column("seen_text", "all, other corners, %"),
        Column("thickness_rank", "rank correlation, thickness", "{:.2f}"),
        Column("slant_rank", "rank correlation, slant", "{:.2f}"),
        Column("thin", "thin, px (real)"),
        Column("thick", "thick, px (real)"),
        Column("left", "left, ° (real)"),
        Column("right", "right, ° (real)"),
        Column("seam", "step across the edge, %", "{:.2f}"),
        Column("seam_real", "of the real digits, %", "{:.2f}"),
        Column("seam_excess", "larger by, %", "{:+.1f}"),
        Column("seam_error", "± standard error", "{:.1f}"),
    )
}
SCORES = "fd_infinity_percent fd_infinity_interval class_fd_percent accuracy_percent"
TRAINED = " ".join(Run.model_fields)
BOLD = "bold: lowest relative FD∞ and highest accuracy"
WITHOUT = " ".join(["tstr", *(KEYS[name] for name in PLAIN)])
MADE_FROM = (
    "cell run weights betas samples classifier alpha_bar_last log_snr first_step_signal "
    "network_evaluations eta"
)
SPECS = [
    Spec(
        "schedules",
        "Noise schedules by conditioning, a row a training: the effects tell what a choice does",
        "cell schedule conditioning guidance guide? network weighting? timestep_sampling? seed? "
        f"sampler? steps? eta? departures? {SCORES}",
        f"condition=group {TRAINED} {CELL}",
        group="condition",
        crowns=False,
        sort=["guidance"],
    ),
    Spec(
        "ablations",
        f"Training choices; {BOLD} where drawn alike",
        "cell changed prediction weighting timestep_sampling terminal_snr seed? sampler? steps? "
        f"guidance? {SCORES}",
        f"drawing=group {TRAINED} {CELL} changed terminal_snr",
        group="drawing",
        note=summary.ablations_note,
    ),
    Spec(
        "samplers",
        f"Samplers by steps; {BOLD}; seconds are for all n",
        f"cell sampler steps departures? network_evaluations {SCORES} seconds "
        "milliseconds_per_image",
        CELL,
        sort=["sampler", "network_evaluations"],
        note=summary.samplers_note,
    ),
    Spec(
        "guidance",
        "Guidance scale s in ε∅ + s·(εc − ε∅): 0 ignores the label, 1 is plain conditional; "
        f"{BOLD}",
        f"cell guidance guide? departures? network_evaluations {SCORES} fd confidence_percent",
        CELL,
        sort=["guidance"],
    ),
    Spec(
        "choices",
        f"Sampling choices; {BOLD} among rows of the same run, sampler, steps and guidance",
        "cell run? sampler? steps spacing first_step_signal bound guidance guide? "
        f"guidance_interval guidance_rescale network_evaluations {SCORES}",
        f"run_and_drawing=group {CELL}",
        group="run_and_drawing",
        sort=["run_and_drawing"],
    ),
    Spec(
        "spaces",
        f"Pixels and latents, asked by label and in words; {BOLD} of the same guidance",
        f"cell space conditioning network? own_steps seed guidance departures? {SCORES} "
        "training_seconds",
        f"condition=group {TRAINED} {CELL} own_steps training_seconds",
        group="condition",
    ),
    Spec(
        "students",
        f"The headline in few steps, and distilled: a student is told the guidance scale; {BOLD}",
        f"cell run sampler steps guidance network_evaluations {SCORES} second_fd_infinity_percent "
        "milliseconds_per_image own_steps training_seconds",
        f"{CELL} second_fd_infinity_percent own_steps training_seconds",
    ),
    Spec(
        "fidelity",
        "Real test digits by way of each codec, which is the best that its latents can give; first "
        "the digits as they are",
        "codec values psnr fd_infinity_percent fd_infinity_error second_fd_infinity_percent "
        "accuracy_percent saturated_percent thickness_bias slant_error high_frequencies mflop "
        "cheaper decoding_mflop",
        real_rows=1,
    ),
    Spec(
        "prompts",
        "Digits asked for in words, measured on the images: how many are as asked, and what they "
        "measure beside real digits of that look",
        "cell guidance n digit_right thickness_right slant_right everything held_out_text "
        "seen_text thickness_rank slant_rank thin thick left right",
        "cell guidance n digit_right thickness_right slant_right everything_right held_out "
        "seen_corners thickness_rank slant_rank thin thick left right",
        note=small_frames.looks_kept,
    ),
    Spec(
        "clip",
        "The text and image encoder on test digits, asked what it was never trained to tell",
        "digit_by_word digit_by_numeral thickness_of_three slant_of_three thickness_of_two "
        "slant_of_two auc held_out_of_four",
    ),
    Spec(
        "seams",
        "Half of real digits drawn anew: the step of brightness across the edge",
        "cell guidance n seam seam_real seam_excess seam_error",
    ),
    Spec(
        "per-class",
        "Accuracy per digit asked for, %; first the classifier's own on real digits; bold: highest "
        "of all cells",
        f"name {' '.join(DIGITS)}",
        f"name cell {' '.join(DIGITS)}",
        real_rows=1,
    ),
    Spec(
        "runs",
        "The trained denoisers",
        "run schedule conditioning network own_recipe? prediction weighting timestep_sampling? "
        "seed? parameters epochs last_loss seconds",
        f"run {TRAINED} parameters steps images epochs last_loss seconds",
        note=summary.runs_note,
    ),
    Spec(
        "fd_curve",
        "Relative FD along training, of the averaged weights and few images",
        "run step images relative_fd_percent",
        group="step",
    ),
    Spec(
        "cells",
        f"Every declared cell; {BOLD} of all, whatever the training, conditioning, guidance, "
        "sampler and steps",
        "cell run sampler steps guidance departures? network_evaluations n fd_infinity_percent "
        "fd_infinity_interval fd_infinity_floor_percent class_fd_percent relative_fd_percent "
        "relative_fd_floor_percent accuracy_percent",
        CELL,
    ),
    Spec(
        "metrics",
        "Every cell under every other metric, with 95 % intervals; last what real test digits "
        "score at the n that most cells have",
        f"name n {' '.join(f'{name}_text' for name in WITH_INTERVALS)} {WITHOUT}",
        f"name cell n {' '.join(f'{name}_text={name}' for name in WITH_INTERVALS)} {WITHOUT}",
    ),
    Spec(
        "comparisons",
        "Paired comparisons: a cell less its baseline, in points of a per cent",
        "cell baseline table metric difference low high ratio_low ratio_high p_shown verdict n "
        "training_seeds",
        "table cell baseline metric difference error low high ratio_low ratio_high p p_adjusted "
        "verdict n training_seeds",
    ),
    Spec(
        "ranks",
        "Cells of one n by relative FD∞, and their ranks by other judges: classifiers of another "
        "seed or recipe",
        "cell rank fd_infinity_percent by_others rank_range",
    ),
    Spec(
        "disagreements",
        "Pairs of cells that judges put in another order, each beyond its own 95 % of luck: the "
        "cell's relative FD∞ less the other's, in points, ± a standard error",
        "cell other nearer_by farther_by",
    ),
    Spec(
        "provenance",
        "Provenance of every cell: digests are SHA-256, cut to twelve digits",
        f"{MADE_FROM} drawn_spacing drawn_bound drawn_guidance_interval? drawn_guidance_rescale? "
        "sample_seed",
        f"{MADE_FROM} drawn_spacing=spacing drawn_bound=bound "
        "drawn_guidance_interval=guidance_interval drawn_guidance_rescale=guidance_rescale "
        "sample_seed=seed",
        anchors=True,
    ),
]


def all_tables(results: Results) -> dict[str, Table]:
    """Every table of the report that has rows, in reading order."""
    cells = frames.cells_frame(results)
    real = pd.DataFrame([frames.real_scores(results)])
    sources = {
        "per-class": frames.accuracies_frame(results, cells),
        "metrics": pd.concat([cells, real], ignore_index=True),
        "runs": frames.runs_frame(results),
        "fd_curve": small_frames.fd_curves_frame(results),
        "comparisons": small_frames.comparisons_frame(results),
        "ranks": small_frames.ranks_frame(results.ranks),
        "disagreements": small_frames.disagreements_frame(results.ranks),
        "fidelity": small_frames.codecs_frame(results),
        "clip": small_frames.clip_frame(results),
        "prompts": small_frames.prompts_frame(results),
        "seams": small_frames.seams_frame(results),
    }
    return {
        spec.name: spec.build(results, frame, COLUMNS)
        for spec in SPECS
        if len(frame := sources.get(spec.name, cells))
    }
