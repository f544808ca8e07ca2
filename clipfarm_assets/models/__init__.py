"""Which models make the embeddings, where their weights lie, and proof that they are the locked ones.

``lock`` reads and writes ``models.lock`` and checks weight files against it; ``places`` knows where weights can lie;
``catalog`` decides which models this deployment uses, without importing torch; ``commands`` is what
`clipfarm models` does; ``load`` brings a model into memory; ``standin`` builds the small models for machines without
weights.
"""
