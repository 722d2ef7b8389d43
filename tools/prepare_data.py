"""TFRecord shards with a manifest: `python tools/prepare_data.py --help`. It is `fsaf_tf.cli.prepare_data`."""

from fsaf_tf.cli.prepare_data import main

if __name__ == "__main__":
    main()
