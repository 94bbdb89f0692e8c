"""ONNX Runtime on the CPU, with its transformer fusions, in float32 and with dynamic int8.

Settings:
    fused      the graph after onnxruntime.transformers.optimizer: Attention, SkipLayerNormalization, BiasGelu
    plain      the graph as exported; the session fuses what it can
In int8 either is quantized by quantize_dynamic with a scale per column of a weight. Where the processor has no VNNI its
weights have 7 bits (reduce_range): there products of unsigned and signed bytes are added in pairs with saturation.
"""

from pathlib import Path

import serve  # first: it sets the environment
import onnxruntime


def has_vnni():
    return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def graph_path(options, setting):
    return options.folder / f"{setting}-{options.precision}.onnx"


def quantize(source, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(source), str(out), per_channel=True, reduce_range=not has_vnni(),
                     weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": 1})


def prepare(options):
    import graph
    import json

    from onnxruntime.transformers import optimizer

    plain, fused = (options.folder / f"{setting}-float32.onnx" for setting in ("plain", "fused"))
    if not plain.exists():
        graph.export_onnx(options.model, plain)
    if not fused.exists():
        config = json.loads((options.model / "config.json").read_text(encoding="utf-8"))
        model = optimizer.optimize_model(str(plain), model_type="bert", num_heads=config["num_attention_heads"],
                                         hidden_size=config["hidden_size"], opt_level=0)
        model.save_model_to_file(str(fused))
    for source, setting in ((plain, "plain"), (fused, "fused")):
        if options.precision == "int8" and not graph_path(options, setting).exists():
            quantize(source, graph_path(options, setting))


def load(options):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.log_severity_level = 3
    path = graph_path(options, options.setting)
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])

    def run(batches):
        return [session.run(None, serve.padded(batch))[0] for batch in batches]

    return serve.in_batches(serve.load_tokenizer(options.model), options.batch, run), ""


if __name__ == "__main__":
    serve.main(load, prepare)
