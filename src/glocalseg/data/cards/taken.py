"""Names that tables have already, and that no structure can have: of columns, of averages, of cells that are empty.

The names of columns stand here once, so that a card can be checked without what writes the tables; a test compares them with
every table that is written.
"""

from __future__ import annotations

AVERAGES = {"mean", "all"}  # names that tables give to all structures together
MISSING = {  # what programs that read a table take for an empty cell
    "", "na", "n/a", "nan", "-nan", "none", "null", "nil", "<na>", "#na", "#n/a", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan",
    "-1.#qnan",
}  # fmt: skip
FILES = {"file", "volumes"}  # what archives of arrays call their own
SCORES = {"subject", "volume", "structure", "metric", "weights", "value"}
RUNS = {"dataset", "method", "name", "budget", "repeat", "seed", "phase", "run", "record", "folder", "failure"}
STORE = {
    "slice", "position", "first_slice", "depth", "height", "width", "spacing_depth", "spacing_height", "spacing_width",
    "resampled_height", "resampled_width", "native_offset", "labelled",
}  # fmt: skip
TRAINING = {"step", "loss", "dice", "learning_rate", "images_per_second"}
RECORDS = {
    "device", "precision", "threads", "wall_seconds", "train_seconds", "test_seconds", "wall_seconds_mean",
    "wall_seconds_total", "test_seconds_mean", "peak_memory_mb", "decoder", "position_r2", "same_place", "same_place_chance",
    "train", "validation", "test", "unlabelled", "labelled_total", "train_volumes", "validation_volumes", "test_volumes",
    "listed", "unlabelled_volumes", "without_label", "test_subjects", "readers",
}  # fmt: skip
REPORT = {
    "baseline", "against_random",
    "p", "p_corrected", "subject_wins", "repeat_wins", "runs_differ", "verdict", "family", "comparisons",
    "mean", "median", "sum", "values", "subjects", "repeats", "runs", "runs_planned", "methods", "selection",
    "label_price", "settings", "case_id", "method_only", "random_only", "failed_runs", "reference_dice", "since_step",
    "still_rises",
    "hours", "pretraining_hours", "of_gain", "variance_source", "variance_share", "variance_sd", "degrees_of_freedom",
    "labelled_steps", "steps_before", "images_finetuning", "images_pretraining", "part", "setting", "usual",
    "diagnostic", "declared_by", "sentence",
    "nsd_mean", "hd95_median", "assd_median", "lost_sum", "stray_sum",
}  # fmt: skip
WITH_INTERVAL = {
    "gain", "dice_mean", "typical_gain", "smallest_gain", "failed_share", "validation_rise", "equivalent_budget",
    "dice_per_hour", "gain_per_hour", "dice_last", "last_minus_selected", "variance",
    "first_mean", "last_mean",
}  # fmt: skip
COLUMNS = FILES | SCORES | RUNS | STORE | TRAINING | RECORDS | REPORT
COLUMNS |= {f"{name}{end}" for name in WITH_INTERVAL for end in ("", "_low", "_high")}
