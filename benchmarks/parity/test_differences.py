"""Tests of what the parity scripts compare with.

    pip install -r benchmarks/requirements.txt
    python -m unittest discover --start-directory benchmarks/parity
"""

import math
import unittest

import torch

import differences

MEASURES = [differences.largest, differences.relative, differences.relative_norm]


class DifferencesTest(unittest.TestCase):
    def test_values(self):
        ours, theirs = torch.tensor([[1.0, 2.0], [3.0, 4.5]]), torch.tensor([[1.0, 2.0], [3.0, -4.0]])
        self.assertEqual(differences.largest(ours, theirs), 8.5)
        self.assertEqual(differences.relative(ours, theirs), 2.125)
        self.assertAlmostEqual(differences.relative_norm(ours, theirs), 8.5 / 30**0.5, places=6)
        for measure in MEASURES:
            self.assertEqual(measure(ours, ours), 0)
            self.assertEqual(measure(torch.zeros(3), torch.zeros(3)), 0)

    def test_a_value_that_is_not_finite_is_infinitely_far(self):
        plain = torch.tensor([1.0, 2.0, 3.0])
        for value in [math.nan, math.inf, -math.inf]:
            spoilt = torch.tensor([1.0, value, 3.0])
            for measure in MEASURES:
                for pair in [(plain, spoilt), (spoilt, plain), (spoilt, spoilt)]:
                    self.assertEqual(measure(*pair), math.inf, (measure.__name__, value))

    def test_other_shapes_are_infinitely_far(self):
        for other in [torch.ones(1), torch.ones(3, 1), torch.ones(0)]:
            for measure in MEASURES:
                self.assertEqual(measure(torch.ones(3), other), math.inf)
                self.assertEqual(measure(torch.ones(0), torch.ones(0)), math.inf)


if __name__ == "__main__":
    unittest.main()
