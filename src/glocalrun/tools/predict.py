"""Label images with an exported model: NIfTI in, label NIfTI out, each on its image's own grid."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path


def main() -> None:
    """Exit with 1 if an image was skipped, or nothing could be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder that `make export` wrote")
    parser.add_argument("--images", type=Path, help="folder of NIfTI images, or one")
    parser.add_argument("--out", type=Path, help="folder for the labels, which are called like the images")
    parser.add_argument("--threads", type=int, help="of the CPU; by default as many as the training had")
    parser.add_argument("--overwrite", action="store_true", help="make labels again that are there already")
    args = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of files are anybody's
    if missing := [name for name in ("model", "images", "out") if getattr(args, name) is None]:
        sys.exit(f"make predict: expected MODEL=<folder> IMAGES=<folder> OUT=<folder>, found no {missing[0].upper()}")
    if args.threads is not None and args.threads < 1:
        sys.exit(f"THREADS: expected at least 1, found {args.threads}")
    # cuBLAS reads it when it starts: with workspaces of one size it sums in one order
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from glocalseg.models.about import ModelError
    from glocalseg.models.checks import summed
    from glocalseg.models.images import images_in, not_labelled
    from glocalseg.models.predict import predict_files
    from glocalseg.models.trained import TrainedModel

    try:
        images = images_in(args.images)
        folder = args.images if args.images.is_dir() else args.images.parent
        if args.out.resolve() == folder.resolve():
            raise ModelError(
                f"{args.out}: expected another folder than that of the images, found the same: labels are called alike"
            )
        model = TrainedModel.load(args.model, threads=args.threads)
        print(
            f"{args.model}: {len(model.nets)} network{'s' if len(model.nets) > 1 else ''}, on {model.device.describe()['name']}"
        )
        outcome = predict_files(model, images, args.out, overwrite=args.overwrite)
        others, beside = not_labelled(args.images, images, args.out)
    except (ModelError, OSError) as error:
        sys.exit(str(error))
    notes = [*beside, *outcome.notes]
    for line in summed(notes):
        print(line)
    if outcome.kept:
        print(f"{len(outcome.kept)} labels were there already and are left as they are (FORCE=yes makes them again)")
    print(f"{len(outcome.written)} labels written to {args.out.resolve()}")
    if noted := {note.file for note in outcome.notes}:
        print(f"{len(noted)} of {len(images)} images have notes, which stand above: look at their labels")
    if skipped := len(outcome.skipped) + len(others):
        lines = [f"{skipped} of {len(images) + len(others)} images skipped:", *map(str, [*outcome.problems, *others])]
        sys.exit("\n".join(lines))
