"""OpenVINO on the CPU, in float32, bfloat16 and int8.

A setting is a graph, its shapes and a hint: "sdpa dynamic latency".
    sdpa, eager          attention as one operation, or as products and a softmax
    full                 int8 weights and activations: nncf.quantize, calibrated on other pairs
    weights              int8 weights, activations as the device likes: nncf.compress_weights
    dynamic, static      one graph for all shapes, or one for each length that is a multiple of 64, a pair at a time
    latency, throughput  a batch has all threads, or as many batches at once as there are threads
"""

import serve  # first: it sets the environment
import numpy
import openvino
import workloads

STEP = 64
SUBSET = 48  # pairs to calibrate on


def graph_path(options, name):
    return options.folder / f"{name}.xml"


def write_float32(options, attention):
    import graph

    shapes = [(name, [-1, -1], openvino.Type.i64) for name in serve.INPUTS]
    model = openvino.convert_model(graph.load(options.model, attention), input=shapes,
                                   example_input=dict(zip(serve.INPUTS, graph.example())))
    openvino.save_model(model, graph_path(options, attention), compress_to_fp16=False)


def write_int8(options, name):
    import nncf

    model = openvino.Core().read_model(graph_path(options, "sdpa"))
    if name == "weights":
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    else:
        tokenizer = serve.load_tokenizer(options.model)
        pairs = workloads.read(options.calibration)[:SUBSET]
        data = nncf.Dataset([serve.padded([tokenizer.encode(*pair)]) for pair in pairs])
        model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=SUBSET)
    openvino.save_model(model, graph_path(options, name), compress_to_fp16=False)


def prepare(options):
    for attention in ("sdpa", "eager"):
        if not graph_path(options, attention).exists():
            write_float32(options, attention)
    for name in ("full", "weights"):
        if options.precision == "int8" and not graph_path(options, name).exists():
            write_int8(options, name)


class Graph:
    """A compiled graph for batches of one length, or of any if length is 0; several may be under way."""

    def __init__(self, core, path, config, length):
        model = core.read_model(path)
        if length:
            model.reshape({name: [1, length] for name in serve.INPUTS})
        self.length, self.out = length, {}
        compiled = core.compile_model(model, "CPU", config)
        self.bfloat16 = compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
        self.queue = openvino.AsyncInferQueue(compiled)
        self.queue.set_callback(self.keep)

    def keep(self, request, at):
        self.out[at] = request.get_output_tensor(0).data.copy()

    def start(self, encodings, at):
        self.queue.start_async(serve.padded(encodings, self.length), at)

    def end(self):
        self.queue.wait_all()
        out, self.out = self.out, {}
        return out


def load(options):
    name, shapes, hint = options.setting.split()
    core, graphs = openvino.Core(), {}
    config = {"PERFORMANCE_HINT": hint.upper(), "INFERENCE_NUM_THREADS": options.threads}
    if options.precision != "int8":  # there the device's default is the quickest for what is not int8
        config["INFERENCE_PRECISION_HINT"] = "bf16" if options.precision == "bfloat16" else "f32"

    def graph_for(encodings):
        length = -(-len(encodings[0]) // STEP) * STEP if shapes == "static" else 0
        if length not in graphs:
            graphs[length] = Graph(core, graph_path(options, name), config, length)
        return graphs[length]

    def run(batches):
        logits, before = {}, None
        for at, batch in enumerate(batches):
            graph = graph_for(batch)
            if before and before is not graph:  # one graph's threads at a time
                logits |= before.end()
            graph.start(batch, at)
            before = graph
        logits |= before.end()
        return [numpy.atleast_1d(logits[at]) for at in range(len(batches))]

    score = serve.in_batches(serve.load_tokenizer(options.model), options.batch, run)
    score(workloads.read(options.pairs)[:1])
    absent = options.precision == "bfloat16" and not next(iter(graphs.values())).bfloat16
    return score, "runs in float32 on this chip" if absent else ""


if __name__ == "__main__":
    serve.main(load, prepare)
