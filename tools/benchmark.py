"""Timings: `python tools/benchmark.py --help`. The command is `fsaf_tf.cli.benchmark`."""

from fsaf_tf.cli.benchmark import main

if __name__ == "__main__":
    main()
