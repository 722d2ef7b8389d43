"""Makes a step without a finite loss again: `python tools/replay.py --help`. The command is `cli.replay`."""

from fsaf_tf.cli.replay import main

if __name__ == "__main__":
    main()
