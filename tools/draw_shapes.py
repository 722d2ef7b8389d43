"""Draws pictures of the kind of `shapes`: `python tools/draw_shapes.py --help`. It is `fsaf_tf.cli.draw_shapes`."""

from fsaf_tf.cli.draw_shapes import main

if __name__ == "__main__":
    main()
