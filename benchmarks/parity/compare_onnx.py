"""Compares chartbench's ONNX adapter with its own Pix2Struct on one checkpoint: token ids, f32 and int8.

    python3 -m venv VENV
    VENV/bin/pip install optimum-onnx==0.1.0 optimum==2.1.0 transformers==4.57.6 torch==2.15.0 onnx==1.23.2 \
        onnxruntime==1.32.0 torchvision==0.29.2 pillow==13.0.0
    VENV/bin/python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR DIR   # a full-size checkpoint with random weights
    VENV/bin/python benchmarks/parity/compare_onnx.py DIR CHARTQA_DIR EXPORT_DIR [--limit 4] [--max-patches 512]

EXPORT_DIR gets f32/ (Optimum's export, decoders merged) and int8/ (the same after onnxruntime's dynamic quantization), each
kept for the next time: name another one for another checkpoint or patch budget. Exit code 1 when an f32 answer has other
token ids; those of int8 are reported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = ["encoder_model", "decoder_model_merged"]


def export(weights, out, max_patches):
    """Optimum's export; the number of patches is the image processor's, for good."""
    from optimum.exporters.onnx import main_export

    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        for file in weights.iterdir():
            (source / file.name).symlink_to(file.resolve())
        processor = json.loads((weights / "preprocessor_config.json").read_text()) | {"max_patches": max_patches}
        (source / "preprocessor_config.json").unlink()
        (source / "preprocessor_config.json").write_text(json.dumps(processor))
        made = Path(scratch) / "export"
        main_export(str(source), output=made, task="image-to-text-with-past", do_validation=False, device="cpu")
        for name in ["decoder_model.onnx", "decoder_with_past_model.onnx"]:
            (made / name).unlink(missing_ok=True)
        # Byte for byte the checkpoint's: transformers would write its own form of it.
        shutil.copy(weights / "tokenizer.json", made)
        made.rename(out)


def quantize(export, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        made = Path(scratch) / "int8"
        shutil.copytree(export, made, ignore=shutil.ignore_patterns("*.onnx*"))
        for name in GRAPHS:
            quantize_dynamic(export / f"{name}.onnx", made / f"{name}_quantized.onnx", weight_type=QuantType.QInt8,
                             extra_options={"EnableSubgraph": True})
        made.rename(out)


def answers(adapter, weights, args):
    """The records of `chartbench run`, and the seconds it took."""
    with tempfile.TemporaryDirectory() as results:
        command = ["cargo", "run", "--quiet", "--features", "onnx", "--", "run", "--no-blind", "--adapters", adapter, "--weights", str(weights)]
        command += ["--benchmark", "chartqa", "--data", str(args.chartqa.resolve()), "--limit", str(args.limit), "--offline"]
        command += ["--max-new-tokens", str(args.max_new_tokens), "--max-patches", str(args.max_patches)]
        started = time.monotonic()
        subprocess.run([*command, "--name", "x", "--results", results], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                       env=os.environ | {"VIRTUAL_ENV": sys.prefix})
        lines = (Path(results) / "x" / adapter / "predictions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines], time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("chartqa", type=Path)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--max-patches", type=int, default=512)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    args = parser.parse_args()
    args.exported.mkdir(parents=True, exist_ok=True)
    exported = args.exported.resolve()
    f32, int8 = exported / "f32", exported / "int8"
    if not f32.exists():
        export(args.weights.resolve(), f32, args.max_patches)
    if not int8.exists():
        quantize(f32, int8)
    # Before the clock runs.
    subprocess.run(["cargo", "build", "--quiet", "--features", "onnx"], cwd=ROOT, check=True)
    runs = [("matcha-base", args.weights.resolve()), ("onnx", f32), ("onnx", int8)]
    (ours, seconds), (plain, plain_seconds), (small, small_seconds) = [answers(*run, args) for run in runs]
    failed = False
    for candle, one, other in zip(ours, plain, small):
        same = candle["token_ids"] == one["token_ids"]
        failed |= not same
        agree = sum(a == b for a, b in zip(candle["token_ids"], other["token_ids"]))
        told = "equal" if same else "DIFFERENT"
        print(f"{candle['id']:<14} f32 {told:<9}  int8 {agree} of {len(candle['token_ids'])} tokens equal")
    print(f"\nwhole runs, loading included: candle {seconds:.1f} s, f32 {plain_seconds:.1f} s, int8 {small_seconds:.1f} s")
    print("FAILED" if failed else "f32: all token ids equal")
    sys.exit(failed)


if __name__ == "__main__":
    main()
