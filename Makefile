# Each target makes .venv first, from python3 and constraints.txt, and again when what is installed changes.
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint docs soak release

demo: $(READY)
	$(BIN)/python tools/train.py --experiment=fsaf_demo
	$(BIN)/python tools/draw_shapes.py --count=12 --output=runs/fsaf_demo/images
	$(BIN)/python tools/predict.py --experiment=fsaf_demo --images=runs/fsaf_demo/images --output=runs/fsaf_demo/predictions

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(READY)
	FSAF_LONG=1 $(BIN)/python -m pytest -q tests/examples/test_notebook.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html. With the search: $(BIN)/python -m http.server --directory site, then http://localhost:8000"

soak: $(READY)
	$(BIN)/python -m benchmarks.soak

release: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build twine
	$(BIN)/python .ci/release.py $(ARGS)

$(READY): setup.py pyproject.toml constraints.txt
	@echo "Installing TensorFlow, the Model Garden and fsaf_tf into .venv: 3 GB, some minutes"
	test -x $(BIN)/python || python3 -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
