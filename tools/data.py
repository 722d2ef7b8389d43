"""Looks at data before a training does: `python tools/data.py --help`. The command is `fsaf_tf.cli.data`."""

from fsaf_tf.cli.data import main

if __name__ == "__main__":
    main()
