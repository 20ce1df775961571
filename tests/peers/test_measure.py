"""Tests of measure.py; the standard library is enough: python3 -m unittest discover tests/peers"""

import contextlib
import io
import json
import shlex
import sys
import unittest

import measure


def program(body: str) -> str:
    """A command line that runs a line of Python, which sees {repeat} as n."""
    script = "import json,os,sys; n=int(sys.argv[1]); " + body
    return f"{shlex.join([sys.executable, '-c', script])} {{repeat}}"


class Statistics(unittest.TestCase):
    def test_percentiles_lie_between_the_closest_ranks(self):
        self.assertEqual(measure.percentile([4, 1, 3, 2], 50), 2.5)
        self.assertEqual(measure.percentile([10, 20], 90), 19)
        self.assertEqual(measure.percentile([7], 10), 7)

    def test_ratio_is_formed_within_a_round(self):
        # The machine is twice as slow in round 2; side 1 is twice as fast in both.
        times = [[[100, 100], [50, 50]], [[200, 200], [100, 100]]]
        ratio = measure.ratio(times)
        self.assertEqual(ratio["by_round"], [2, 2])
        self.assertEqual(ratio["median"], 2)

    def test_a_slower_side_has_a_ratio_below_one(self):
        self.assertEqual(measure.ratio([[[10], [40]]])["median"], 0.25)


class Turns(unittest.TestCase):
    def interleave(self, sides, **counts):
        with contextlib.redirect_stderr(io.StringIO()):
            return measure.interleave(sides, **counts)

    def test_sides_alternate_and_warm_up_launches_are_dropped(self):
        order = []

        def side(name):
            def turn(count):
                order.append((name, count))
                return [float(i) for i in range(count)]

            return measure.Side(name, turn)

        times = self.interleave([side("a"), side("b")], rounds=2, launches=2, warmup=1)
        self.assertEqual(order, [("a", 3), ("b", 3), ("a", 3), ("b", 3)])
        self.assertEqual(times, [[[1, 2], [1, 2]], [[1, 2], [1, 2]]])

    def test_too_few_times_are_refused(self):
        with self.assertRaisesRegex(measure.PeerError, "gave 1 times, asked for 3"):
            self.interleave([measure.Side("a", lambda _: [1.0])], rounds=1, launches=2, warmup=1)


class Commands(unittest.TestCase):
    def run_one(self, template, field="times_ns", values=None, environment=None):
        return measure.command(template, values or {}, environment or {}, field)(3)

    def test_reads_the_times_a_program_prints(self):
        body = "print(json.dumps(dict(run=dict(ns=[5] * n))))"
        self.assertEqual(self.run_one(program(body), field="run.ns"), [5.0, 5.0, 5.0])

    def test_the_environment_reaches_the_program(self):
        body = "print(json.dumps(dict(times_ns=[int(os.environ['THREADS'])])))"
        self.assertEqual(self.run_one(program(body), environment={"THREADS": "7"}), [7.0])

    def test_a_value_with_a_blank_stays_one_argument(self):
        body = "print(json.dumps(dict(times_ns=[len(sys.argv)])))"
        self.assertEqual(self.run_one(program(body) + " {q}", values={"q": "a b"}), [3.0])

    def test_a_failing_program_is_an_error_with_its_stderr(self):
        with self.assertRaisesRegex(measure.PeerError, "no such kernel"):
            self.run_one(program("sys.exit('no such kernel')"))

    def test_a_missing_program_is_an_error(self):
        with self.assertRaises(measure.PeerError):
            self.run_one("./no-such-program {repeat}")

    def test_an_unknown_placeholder_is_an_error(self):
        with self.assertRaisesRegex(measure.PeerError, "known names"):
            self.run_one("echo {nonsense}")

    def test_output_that_is_not_the_expected_json_is_an_error(self):
        for text in ["", "[]", "{}", '{"times_ns": []}', '{"times_ns": [0]}', '{"times_ns": [NaN]}',
                     '{"times_ns": 3}', json.dumps({"times_ns": [-1.0]})]:
            with self.subTest(text=text), self.assertRaises(measure.PeerError):
                measure.parse_times(text, "times_ns")


if __name__ == "__main__":
    unittest.main()
