"""The Python package over the program, in an environment as pip leaves it.

    CHARTBENCH=target/debug/chartbench python3 -B -m unittest discover --start-directory tests/python
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CHARTBENCH", ROOT / "target/debug/chartbench")).resolve()

sys.path.insert(0, str(ROOT / "python"))
import chartbench  # noqa: E402

PREDICTIONS = ["line chart", "0.5", "2008", "1,234", "Yes."]
GOLDS = ["Line chart", "50%", "2010", "1234", "Yes"]
QUESTIONS = [
    "What is the chart type?",
    "What share is imported?",
    "In which year was the peak?",
    "How many units were sold?",
    "Is the trend rising?",
]


class ScoreTest(unittest.TestCase):
    def setUp(self):
        find = mock.patch("chartbench._score.find_program", return_value=str(PROGRAM))
        find.start()
        self.addCleanup(find.stop)

    def refused(self, *arguments, **options):
        with self.assertRaises(ValueError) as caught:
            chartbench.score(*arguments, **options)
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        return message

    def test_lists_of_texts(self):
        scores = chartbench.score(PREDICTIONS, GOLDS, convention="lm-eval")
        expected = {"questions": 5, "convention": "lm-eval", "exact match": 40.0, "relaxed accuracy": 100.0, "errors": 0}
        self.assertEqual(scores, expected)
        self.assertEqual(list(scores)[:2], ["questions", "convention"])

    def test_the_default_convention_and_fields_of_records(self):
        records = [{"prediction": prediction, "question": question} for prediction, question in zip(PREDICTIONS, QUESTIONS)]
        scores = chartbench.score(records, GOLDS)
        self.assertEqual(scores["convention"], "chartbench")
        self.assertEqual((scores["strict accuracy"], scores["lenient accuracy"]), (0.0, 80.0))
        whole = [{**record, "label": gold} for record, gold in zip(records, GOLDS)]
        self.assertEqual(chartbench.score(whole), scores)
        golds = [{"label": gold, "question": question} for gold, question in zip(GOLDS, QUESTIONS)]
        self.assertEqual(chartbench.score(records, golds), scores)

    def test_a_gold_is_one_of_several_texts(self):
        scores = chartbench.score(["b", "\u00e9\U0001f4c8"], [("a", "b"), "\u00e9\U0001f4c8"], convention="lm-eval")
        self.assertEqual(scores["questions"], 2)
        self.assertGreater(scores["exact match"], 0)

    def test_what_is_missing_scores_nothing_and_is_said(self):
        with self.assertWarns(UserWarning) as caught:
            scores = chartbench.score(["Yes", None], ["Yes", "Yes"], convention="lm-eval")
        self.assertEqual((scores["questions"], scores["exact match"]), (2, 50.0))
        self.assertIn("null", str(caught.warning))
        self.assertEqual(Path(caught.filename).name, Path(__file__).name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            chartbench.score(["Yes"], ["Yes"])

    def test_mistakes_are_refused_in_one_line(self):
        self.assertIn("nearest: lm-eval", self.refused(["a"], ["a"], convention="lm-evl"))
        self.assertIn("not `all`", self.refused(["a"], ["a"], convention="all"))
        self.assertIn("2 predictions and 1 golds", self.refused(["a", "b"], ["a"]))
        self.assertIn("lists", self.refused("a", ["a"]))
        self.assertIn("no predictions", self.refused([], []))
        self.assertIn("item 0: `id` is 1", self.refused([{"prediction": "a", "id": 1}], [{"gold": "a", "id": 2}]))
        self.assertIn("columns", self.refused([{"guess": "a"}]))

    def test_a_program_that_cannot_run_is_another_error(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "chartbench")
            program.write_text("#!/bin/sh\necho broken >&2\nexit 101\n")
            program.chmod(0o755)
            with mock.patch("chartbench._score.find_program", return_value=str(program)):
                with self.assertRaisesRegex(RuntimeError, "101: broken"):
                    chartbench.score(["a"], ["a"])


class EnvironmentTest(unittest.TestCase):
    """An environment with the package and the program, which is not active."""

    @classmethod
    def setUpClass(cls):
        # A hard link is as good as a copy of the program, on one file system.
        cls.folder = tempfile.TemporaryDirectory(dir=PROGRAM.parent)
        environment = Path(cls.folder.name, "environment")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        cls.python = environment / "bin/python"
        cls.program = environment / "bin/chartbench"
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        cls.packages = Path(subprocess.run([cls.python, "-c", asked], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        shutil.copytree(ROOT / "python/chartbench", cls.packages / "chartbench")
        os.link(PROGRAM, cls.program)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_in(self, *command):
        variables = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "ORT_DYLIB_PATH")}
        variables["HOME"] = self.folder.name
        return subprocess.run(command, cwd=self.folder.name, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_the_module_runs_the_program(self):
        done = self.run_in(self.python, "-m", "chartbench", "--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("chartbench "), done.stdout)
        self.assertEqual(self.run_in(self.python, "-m", "chartbench", "run", "--no-such-flag").returncode, 2)
        done = self.run_in(self.python, "-c", "import chartbench; print(chartbench.find_program())")
        self.assertEqual(Path(done.stdout.strip()).resolve(), self.program.resolve())

    def test_a_program_that_is_not_there_is_said_in_one_line(self):
        hidden = self.program.with_name("hidden")
        self.program.rename(hidden)
        self.addCleanup(hidden.rename, self.program)
        done = self.run_in(self.python, "-m", "chartbench", "--version")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("error: the program chartbench is not installed"), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_package_beside_a_prefix_finds_its_program(self):
        target = Path(self.folder.name, "target")
        shutil.copytree(ROOT / "python/chartbench", target / "chartbench")
        (target / "bin").mkdir()
        os.link(PROGRAM, target / "bin/chartbench")
        asked = f"import sys; sys.path.insert(0, {str(target)!r}); import chartbench; print(chartbench.find_program())"
        done = self.run_in(sys.executable, "-c", asked)
        self.assertEqual(Path(done.stdout.strip()), (target / "bin/chartbench").resolve(), done.stderr)

    def test_the_program_looks_for_onnx_runtime_in_its_own_environment(self):
        package = self.packages / "onnxruntime"
        package.mkdir()
        (package / "__init__.py").touch()
        model = ROOT / "fixtures/onnx/pix2struct"
        weights = Path(self.folder.name, "weights")
        shutil.copytree(model, weights)
        shutil.copy(ROOT / "fixtures/pix2struct/tokenizer/tokenizer.json", weights)
        processor = {"is_vqa": True, "max_patches": 24, "patch_size": {"height": 2, "width": 2}}
        (weights / "preprocessor_config.json").write_text(json.dumps(processor))
        done = self.run_in(self.program, "run", "--adapters", "onnx", "--weights", weights, "--limit", "1", "--no-blind", "--offline")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(f"cannot read {package / 'capi'}", done.stderr)


if __name__ == "__main__":
    unittest.main()
