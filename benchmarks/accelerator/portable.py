"""Turns the programs of `export.py` into StableHLO that any JAX reads: python portable.py FOLDER (needs jax 0.10.2)."""

import gzip
import json
import pathlib
import sys

from jax._src.interpreters import mlir
from jax._src.lib import xla_client
from jaxlib.mlir import ir

TARGET = "1.9.0"  # of StableHLO
_bindings = xla_client._xla.mlir


def without_copies(module: bytes) -> tuple[bytes, list]:
    """A module without `mhlo.copy`, which StableHLO does not know; and the types of its results."""
    with mlir.make_ir_context() as context:
        context.allow_unregistered_dialects = True
        parsed, copies = ir.Module.parse(module), []

        def bypass(operation):
            if operation.name == "mhlo.copy":
                operation.results[0].replace_all_uses_with(operation.operands[0])
                copies.append(operation)
            return ir.WalkResult.ADVANCE

        parsed.operation.walk(bypass)
        for operation in copies:
            operation.erase()
        main = next(each for each in parsed.body.operations if "main" in str(each.attributes["sym_name"]))
        kind = main.attributes["function_type"]
        results = ir.FunctionType(getattr(kind, "value", kind)).results
        tensors = [ir.RankedTensorType(result) for result in results]
        shapes = [(list(tensor.shape), str(tensor.element_type)) for tensor in tensors]
        return mlir.module_to_bytecode(parsed), shapes


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.hlo")):
    bytecode, shapes = without_copies(_bindings.hlo_to_stablehlo(path.read_bytes()))
    artifact = gzip.compress(_bindings.serialize_portable_artifact(bytecode, TARGET))
    path.with_suffix(".shlo.gz").write_bytes(artifact)
    path.with_suffix(".results.json").write_text(json.dumps(shapes))
    print(path.name, len(shapes), "results", len(artifact), "bytes")
