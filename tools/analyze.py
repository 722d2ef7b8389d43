"""Says what a detector gets wrong: `python tools/analyze.py --help`. The command is `fsaf_tf.cli.analyze`."""

from fsaf_tf.cli.analyze import main

if __name__ == "__main__":
    main()
