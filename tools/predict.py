"""Detects objects in pictures: `python tools/predict.py --help`. The command is `fsaf_tf.cli.predict`."""

from fsaf_tf.cli.predict import main

if __name__ == "__main__":
    main()
