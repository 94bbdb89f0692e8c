"""Adapters for LangChain, LlamaIndex and Haystack, a module each that imports its framework. This one has no imports."""
