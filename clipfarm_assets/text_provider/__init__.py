"""Texts become vectors: by a model on this machine, or by an API. What was embedded once is not embedded again.

``interface`` says what a provider is, ``local`` and ``openai_api`` are the two, ``cache`` keeps vectors by what they
were made of, ``limiter`` keeps all processes of a machine below an API's limit. ``embedder`` puts them together.
"""
