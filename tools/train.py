"""Trains and evaluates a detector: `python tools/train.py --help`. The command is `fsaf_tf.cli.train`."""

from fsaf_tf.cli.train import main

if __name__ == "__main__":
    main()
