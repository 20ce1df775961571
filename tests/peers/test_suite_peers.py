"""Tests of what suite_peers.py reads and joins; PyTorch is not needed."""

import unittest

import suite_peers


def step(kernel: str, **numbers: int) -> dict:
    return {"kernel": kernel, "dtype": "f32", "numbers": numbers, "specialisation": "T=f32 BM=64 D=16"}


def row(*steps: dict) -> dict:
    return {"row": "a row", "reason": None, "steps": list(steps)}


SHAPE = {"B": 1, "H": 4, "G": 2, "M": 8, "N": 8}


class Reading(unittest.TestCase):
    def test_directions_are_told_by_the_kernels(self):
        backward = [step("delta", B=1, H=4, M=8), step("causal_dkdv", **SHAPE), step("causal_dq", **SHAPE)]
        forward = step("causal", **SHAPE)
        for steps, direction in (([forward], "forward"), (backward, "backward"), ([forward, *backward], "both")):
            case = suite_peers.case_of(row(*steps))
            self.assertEqual((case.direction, case.causal, case.head_dim, case.groups), (direction, True, 16, 2))

    def test_causal_with_more_keys_is_a_mask(self):
        case = suite_peers.case_of(row(step("causal_bottom_right", **(SHAPE | {"N": 10}))))
        self.assertFalse(case.causal)
        self.assertEqual([case.sees(0, 0, n) for n in (1, 2, 3)], [True, True, False])

    def test_a_window_counts_the_keys_before(self):
        case = suite_peers.case_of(row(step("window_left", **SHAPE, window=2)))
        self.assertEqual([case.sees(0, 5, n) for n in (2, 3, 5, 6)], [False, True, True, False])

    def test_more_than_attention_has_no_counterpart(self):
        for steps in ([step("matmul", M=8, N=8, K=8), step("full", **SHAPE)], [step("sink", **SHAPE)], []):
            with self.assertRaises(suite_peers.NoCounterpart):
                suite_peers.case_of(row(*steps) | {"reason": "none"})


class Joining(unittest.TestCase):
    def test_the_table_has_every_row_and_the_mean_of_ratios(self):
        ok = {"status": "ok", "reason": None, "median_ns": 2e6}
        none = {"status": "unsupported", "reason": "needs a GPU"}
        rows = [
            {"row": "one", "tilec": {"status": "ok", "median_ns": 1e6}, "peers": {"sdpa": ok}, "ratio": 2.0},
            {"row": "two", "tilec": {"status": "ok", "median_ns": 4e6}, "peers": {"sdpa": ok}, "ratio": 0.5},
            {"row": "three", "tilec": {"status": "skipped", "median_ns": None}, "peers": {"sdpa": none}, "ratio": None},
        ]
        text = suite_peers.table(rows, ["sdpa"])
        self.assertRegex(text, r"one +1\.000 +2\.000 +2\.00\n")
        self.assertRegex(text, r"three +skipped +unsupported +- +needs a GPU")
        self.assertIn("2 rows with both: geometric mean of ratios 1.000, worst 0.500", text)


if __name__ == "__main__":
    unittest.main()
