"""Writes a BERT embedder as ONNX: as it is, with fused operators, and with int8 weights.

Runs in the peers' environment: ``python export.py <model folder> <output folder>``.
"""

import sys
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from transformers import BertModel

_NAMES = ["input_ids", "attention_mask", "token_type_ids"]


class States(torch.nn.Module):
    """A BERT model that takes its inputs in order and gives its last states alone."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.model = BertModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation="eager"
        ).eval()

    def forward(self, ids: Any, mask: Any, types: Any) -> Any:
        return self.model(ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def main(folder: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = States(folder)
    ids = torch.ones(2, 16, dtype=torch.long)
    torch.onnx.export(
        model,
        (ids, ids, torch.zeros_like(ids)),
        str(out / "plain.onnx"),
        input_names=_NAMES,
        output_names=["states"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*_NAMES, "states"]},
        opset_version=17,
        dynamo=False,
    )
    config = model.model.config
    fused = optimizer.optimize_model(
        str(out / "plain.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    )
    print(fused.get_fused_operator_statistics(), file=sys.stderr)
    fused.save_model_to_file(str(out / "fused.onnx"))
    quantize_dynamic(
        str(out / "fused.onnx"),
        str(out / "int8.onnx"),
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
