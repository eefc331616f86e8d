"""What the release workflow writes into the manifests before it publishes them."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://git.example/someone/chartbench"


def table(text, heading):
    """The lines of a table of a TOML file."""
    return re.search(rf"^\[{re.escape(heading)}\]\n(.*?)(?=^\[|\Z)", text, re.DOTALL | re.MULTILINE).group(1)


class RepositoryTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        manifests = [Path("Cargo.toml"), Path("pyproject.toml"), *(path.relative_to(ROOT) for path in ROOT.glob("crates/*/Cargo.toml"))]
        self.crates = [path for path in manifests if path.name == "Cargo.toml"]
        for path in [*manifests, Path(".github/state-repository")]:
            (self.root / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.root / path)

    def state(self, *arguments):
        command = [sys.executable, self.root / ".github/state-repository", *arguments]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True)

    def test_every_manifest_gets_the_address(self):
        self.assertEqual(len(self.crates), 9)
        for path in self.crates:
            self.assertNotIn("repository", table((self.root / path).read_text(), "package"))
        self.assertEqual(self.state(ADDRESS).returncode, 0)
        for path in self.crates:
            self.assertIn(f'repository = "{ADDRESS}"\n', table((self.root / path).read_text(), "package"), path)
        self.assertEqual(table((self.root / "pyproject.toml").read_text(), "project.urls").strip(), f'Repository = "{ADDRESS}"')
        twice = self.state(ADDRESS)
        self.assertEqual((twice.returncode, twice.stderr), (1, "Cargo.toml: the repository is stated already\n"))

    def test_what_is_no_address_is_refused(self):
        for arguments in [[], ["chartbench"], ['https://git.example/a"b'], ["https://git.example/"]]:
            refused = self.state(*arguments)
            self.assertEqual((refused.returncode, refused.stderr.count("\n")), (1, 1), arguments)

    def test_binstall_finds_the_archives_of_the_workflow(self):
        metadata = table((ROOT / "Cargo.toml").read_text(), "package.metadata.binstall")
        self.assertIn('pkg-url = "{ repo }/releases/download/v{ version }/chartbench-{ target }{ archive-suffix }"', metadata)
        self.assertIn('bin-dir = "chartbench-{ target }/{ bin }{ binary-ext }"', metadata)
        workflow = (ROOT / ".github/workflows/release.yml").read_text()
        self.assertIn("name=chartbench-$TARGET\n", workflow)
        self.assertIn("file=$name.tar.gz\n", workflow)
        self.assertIn('tags: ["v[0-9]', workflow)


if __name__ == "__main__":
    unittest.main()
