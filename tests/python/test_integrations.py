"""Adapters for LangChain, LlamaIndex and Haystack. Cases with a framework run where that is installed, and those that
compare with its own ranker where sentence-transformers is too: bindings/python/compat/integrations.sh installs them."""
import asyncio
import importlib
import pickle
import subprocess
import sys

import pytest
from conftest import PACKAGE

MODULES = {"langchain": "langchain_core", "llama_index": "llama_index", "haystack": "haystack"}
QUERY = "How many people live in Berlin?"
TEXTS = ["New York City is famous for its museums.", "Berlin has a population of 3.5 million.", "", "Berlin is a city.",
         "people live in Berlin"]


def adapter(framework):
    pytest.importorskip(MODULES[framework], reason=f"{MODULES[framework]} is not installed")
    return importlib.import_module(f"crossenc.integrations.{framework}")


def reference(module, name):
    """A framework's own class over Sentence Transformers."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    return getattr(pytest.importorskip(module, reason=f"{module} is not installed"), name)


def order(model, texts=TEXTS):
    """Texts, best first, and their scores."""
    rows = model.rank(QUERY, texts)
    return [texts[row["corpus_id"]] for row in rows], [row["score"] for row in rows]


# ---- without frameworks

@pytest.mark.parametrize("framework", MODULES)
def test_a_missing_framework_is_told(package, framework, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULES[framework], None)
    monkeypatch.delitem(sys.modules, f"crossenc.integrations.{framework}", raising=False)
    with pytest.raises(ImportError, match=rf"crossenc\.integrations\.{framework} .*pip install '[a-z-]+>=[\d.]+'"):
        importlib.import_module(f"crossenc.integrations.{framework}")


def test_the_package_imports_no_framework():
    code = "import sys, crossenc, crossenc.integrations; print({name.partition('.')[0] for name in sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(PACKAGE)}, check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    assert "crossenc" in out and not any(f"'{name}'" in out for name in [*MODULES.values(), "pydantic"])


def test_a_model_is_named_or_given(package, one):
    from crossenc.integrations._common import open_model
    model = open_model(one, "cpu", {"max_length": 20})
    assert (model.placement.state, model.device, model.max_seq_length) == ("ready", "cpu", 20)
    assert open_model(model, None, None) is open_model(model, None, {}) is model
    for device, arguments in (("cpu", None), (None, {"max_length": 9})):
        with pytest.raises(ValueError, match="a CrossEncoder already"):
            open_model(model, device, arguments)
    with pytest.raises(package.DeviceError):
        open_model(one, "cuda:7", None)


# ---- LangChain

def langchain_documents():
    from langchain_core.documents import Document
    return [Document(page_content=text, metadata={"n": n, "list": [n]}, id=str(n)) for n, text in enumerate(TEXTS)]


def test_langchain_compressor(package, one, model):
    rerank = adapter("langchain").CrossencRerank(one, device="cpu", top_n=None, model_kwargs={"threads": 1})
    documents = langchain_documents()
    found = rerank.compress_documents(documents, QUERY)
    assert ([d.page_content for d in found], [d.metadata["relevance_score"] for d in found]) == order(model)
    assert all(d.id == str(d.metadata["n"]) and d.metadata["list"] == [d.metadata["n"]] for d in found)
    assert documents == langchain_documents()
    assert asyncio.run(rerank.acompress_documents(documents, QUERY)) == found
    assert rerank.compress_documents([], QUERY) == []
    assert rerank.model.placement.state == "ready" and pickle.loads(pickle.dumps(rerank)).model.device == "cpu"


def test_langchain_compressor_arguments(package, model):
    rerank = adapter("langchain").CrossencRerank
    assert rerank(model=model).model is model and len(rerank(model).compress_documents(langchain_documents(), "a")) == 3
    assert len(rerank(model, top_n=1).compress_documents(langchain_documents(), "a")) == 1
    with pytest.raises(package.DeviceError):
        rerank(model.path, device="cuda:7")
    with pytest.raises(FileNotFoundError):
        rerank("no/model")
    with pytest.raises(TypeError):
        rerank(model, top_k=1)


def test_langchain_cross_encoder(package, one, three, model):
    scorer = adapter("langchain").CrossencCrossEncoder
    pairs = [(QUERY, text) for text in TEXTS]
    scores = scorer(model_name=one, model_kwargs={"device": "cpu"}).score(pairs)
    assert scores == model.predict(pairs).tolist() and all(type(score) is float for score in scores)
    assert scorer(model).score(pairs) == scores and scorer(one, device="cpu").client.device == "cpu"
    assert scorer(three).score(pairs) == package.CrossEncoder(three).predict(pairs)[:, 1].tolist()
    assert scorer(model).score([]) == []


def langchain_reranker():
    """LangChain's CrossEncoderReranker, which moved."""
    for module in ("langchain_classic", "langchain"):
        try:
            return importlib.import_module(f"{module}.retrievers.document_compressors").CrossEncoderReranker
        except ImportError:
            pass
    pytest.skip("langchain-classic is not installed")


def test_langchain_cross_encoder_in_its_own_reranker(model):
    scorer = adapter("langchain").CrossencCrossEncoder(model)
    found = langchain_reranker()(model=scorer, top_n=4).compress_documents(langchain_documents(), QUERY)
    assert [d.page_content for d in found] == order(model)[0][:4]


def test_langchain_as_the_reference(one):
    ours = adapter("langchain")
    theirs = reference("langchain_community.cross_encoders", "HuggingFaceCrossEncoder")
    arguments = {"model_name": one, "model_kwargs": {"device": "cpu"}}
    pairs = [(QUERY, text) for text in TEXTS]
    scorers = [ours.CrossencCrossEncoder(**arguments), theirs(**arguments)]
    assert scorers[0].score(pairs) == pytest.approx(list(scorers[1].score(pairs)), abs=1e-4)
    found = [langchain_reranker()(model=scorer, top_n=4).compress_documents(langchain_documents(), QUERY)
             for scorer in scorers]
    assert found[0] == found[1]


# ---- LlamaIndex

def nodes():
    from llama_index.core.schema import NodeWithScore, TextNode
    return [NodeWithScore(node=TextNode(text=text, id_=str(n), metadata={"title": f"t{n}"}), score=n / 10)
            for n, text in enumerate(TEXTS)]


def rows(found):
    return [(n.node.node_id, n.node.text, n.node.metadata, n.score) for n in found]


def test_llama_index(package, one, model):
    rerank = adapter("llama_index").CrossencRerank(one, device="cpu", top_n=4, cross_encoder_kwargs={"threads": 1})
    given = nodes()
    found = rerank.postprocess_nodes(given, query_str=QUERY)
    texts, scores = order(model, [node.node.get_content(metadata_mode="embed") for node in given])
    assert [n.node.get_content(metadata_mode="embed") for n in found] == texts[:4]
    assert [n.score for n in found] == scores[:4]
    assert rows(given) == rows(nodes()) and all(any(f.node is g.node for g in given) for f in found)
    if hasattr(rerank, "apostprocess_nodes"):  # 0.11 has none
        assert rows(asyncio.run(rerank.apostprocess_nodes(given, query_str=QUERY))) == rows(found)
    assert rerank.postprocess_nodes([], query_str=QUERY) == []
    with pytest.raises(ValueError, match="query bundle"):
        rerank.postprocess_nodes(given)


def test_llama_index_keeps_the_retrieval_score(model):
    rerank = adapter("llama_index").CrossencRerank(model, keep_retrieval_score=True)
    given = nodes()
    found = rerank.postprocess_nodes(given, query_str=QUERY)
    assert len(found) == 2 and rows(given) == rows(nodes())
    assert all(n.node.metadata == {"title": f"t{n.node.node_id}", "retrieval_score": int(n.node.node_id) / 10}
               for n in found)


def test_llama_index_arguments(package, one, model):
    rerank = adapter("llama_index").CrossencRerank
    told = rerank(one, device="cpu", top_n=3)
    assert (told.model, told.device, told.top_n, told.class_name()) == (one, "cpu", 3, "CrossencRerank")
    assert told.to_dict()["model"] == one and rerank(model).model == model.path
    again = pickle.loads(pickle.dumps(told))
    assert rows(again.postprocess_nodes(nodes(), query_str="a")) == rows(told.postprocess_nodes(nodes(), query_str="a"))
    with pytest.raises(package.DeviceError):
        rerank(one, device="cuda:7")


def test_llama_index_events(model):
    module = adapter("llama_index")
    from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
    handler = LlamaDebugHandler(print_trace_on_end=False)
    rerank = module.CrossencRerank(model, callback_manager=CallbackManager([handler]))
    rerank.postprocess_nodes(nodes(), query_str=QUERY)
    start, end = handler.get_event_pairs("reranking")[0]
    assert start.payload["query_str"] == QUERY and len(end.payload["nodes"]) == 2


def test_llama_index_as_the_reference(one):
    ours = adapter("llama_index").CrossencRerank
    theirs = reference("llama_index.postprocessor.sbert_rerank", "SentenceTransformerRerank")
    found = [rank(model=one, device="cpu", top_n=4, keep_retrieval_score=True)
             .postprocess_nodes(nodes(), query_str=QUERY) for rank in (ours, theirs)]
    assert [row[:3] for row in rows(found[0])] == [row[:3] for row in rows(found[1])]
    assert [n.score for n in found[0]] == pytest.approx([n.score for n in found[1]], abs=1e-4)


# ---- Haystack

def haystack_documents():
    from haystack import Document
    return [Document(content=text, meta={"title": f"t{n}", "none": None}, score=n / 10) for n, text in enumerate(TEXTS)]


def ranking(ranker, **arguments):
    return [(d.id, d.content, d.meta, d.score) for d in
            ranker.run(query=QUERY, documents=haystack_documents(), **arguments)["documents"]]


def test_haystack(package, one, model):
    ranker = adapter("haystack").CrossencSimilarityRanker(model=one, device="cpu", scale_score=False)
    ranker.warm_up()
    given = haystack_documents()
    found = ranker.run(query=QUERY, documents=given)["documents"]
    assert ([d.content for d in found], [d.score for d in found]) == order(model)
    assert given == haystack_documents() and {d.id for d in found} == {d.id for d in given}
    assert ranker.run(query=QUERY, documents=[]) == {"documents": []}
    assert ranking(ranker, top_k=2) == ranking(ranker)[:2]
    scaled = [row["score"] for row in model.rank(QUERY, TEXTS, activation_fn=package.Sigmoid())]
    assert [row[3] for row in ranking(ranker, scale_score=True)] == scaled
    assert [row[3] for row in ranking(ranker, scale_score=True, score_threshold=scaled[2])] == scaled[:3]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="top_k must be > 0"):
            ranker.run(query=QUERY, documents=given, top_k=wrong)


def test_haystack_texts(model):
    ranker = adapter("haystack").CrossencSimilarityRanker(
        model=model, query_prefix="q ", query_suffix=" ?", document_prefix="[", document_suffix="]", scale_score=False,
        meta_fields_to_embed=["title", "none", "absent"], embedding_separator=" | ")
    texts = [f"[t{n} | {text}]" for n, text in enumerate(TEXTS)]
    scores = [row["score"] for row in model.rank(f"q {QUERY} ?", texts)]
    assert [row[3] for row in ranking(ranker)] == scores


def test_haystack_duplicates(model):
    module = adapter("haystack")
    from dataclasses import replace
    first = haystack_documents()[1]
    found = module.CrossencSimilarityRanker(model=model).run(
        query=QUERY, documents=[replace(first, score=s, meta={"s": s}) for s in (None, 0.5, 0.9, 0.2)])["documents"]
    assert [d.meta for d in found] == [{"s": 0.9}]


def test_haystack_places_the_model(package, one):
    module = adapter("haystack")
    from haystack.utils import ComponentDevice
    for device in ("cpu", ComponentDevice.from_str("cpu")):
        ranker = module.CrossencSimilarityRanker(model=one, device=device)
        assert ranker._cross_encoder.placement.state == "ready" and ranker.device == "cpu"
    deferred = module.CrossencSimilarityRanker(model=one, device="cpu", place="deferred")
    assert deferred._cross_encoder.placement.state == "deferred"
    deferred.warm_up()
    deferred.warm_up()
    assert deferred._cross_encoder.placement[:6:5] == ("ready", 1)
    for place in ("eager", "deferred"):
        with pytest.raises(package.DeviceError):
            module.CrossencSimilarityRanker(model=one, device="cuda:7", place=place)
    with pytest.raises(NotImplementedError, match="onnx"):
        module.CrossencSimilarityRanker(model=one, backend="onnx")


def test_haystack_to_dict(package, one):
    ranker = adapter("haystack").CrossencSimilarityRanker
    first = ranker(model=one, device="cpu", top_k=3, meta_fields_to_embed=["title"], score_threshold=-5.0,
                   scale_score=False, place="deferred", cross_encoder_kwargs={"max_length": 12})
    data = first.to_dict()
    assert data["type"] == "crossenc.integrations.haystack.CrossencSimilarityRanker"
    again = ranker.from_dict(data)
    assert again.to_dict() == data and ranking(again) == ranking(first) and again._cross_encoder.max_seq_length == 12
    given = ranker(model=package.CrossEncoder(one, max_length=12, precision="bfloat16", prompts={"a": "b "}))
    again = ranker.from_dict(given.to_dict())
    assert ranking(again) == ranking(given) and again._cross_encoder.placement.precision == "bfloat16"
    assert again._cross_encoder.prompts == {"a": "b "}


def test_haystack_pipeline(one):
    module = adapter("haystack")
    from haystack import Pipeline
    pipeline = Pipeline()
    pipeline.add_component("ranker", module.CrossencSimilarityRanker(model=one, device="cpu"))
    text = pipeline.dumps()
    try:
        read = Pipeline.loads(text, allowed_modules=["crossenc.*"])
    except TypeError:  # before Haystack 3
        read = Pipeline.loads(text)
    data = {"ranker": {"query": QUERY, "documents": haystack_documents(), "top_k": 2}}
    found = [p.run(data)["ranker"]["documents"] for p in (pipeline, read)]
    assert found[0] == found[1] and len(found[0]) == 2


def test_haystack_as_the_reference(one):
    ours = adapter("haystack")
    theirs = reference("haystack_integrations.components.rankers.sentence_transformers",
                       "SentenceTransformersSimilarityRanker")
    from haystack.utils import ComponentDevice
    settings = {"model": one, "device": ComponentDevice.from_str("cpu"), "top_k": 4, "meta_fields_to_embed": ["title"]}
    other = theirs(**settings)
    other.warm_up()
    found = [ranking(ranker) for ranker in (ours.CrossencSimilarityRanker(**settings), other)]
    assert [row[:3] for row in found[0]] == [row[:3] for row in found[1]]
    assert [row[3] for row in found[0]] == pytest.approx([row[3] for row in found[1]], abs=1e-4)
    data = other.to_dict()
    data["type"] = "crossenc.integrations.haystack.CrossencSimilarityRanker"
    assert ranking(ours.CrossencSimilarityRanker.from_dict(data)) == found[0]
