"""Draws the paper's figures from a run: `python tools/visualize.py --help`. The command is `fsaf_tf.cli.visualize`."""

from fsaf_tf.cli.visualize import main

if __name__ == "__main__":
    main()
