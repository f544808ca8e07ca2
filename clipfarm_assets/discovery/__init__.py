"""From what came in and what was made to what is found: documents, their vectors, and the index that follows them.

``items`` says what every video and clip is as a document, ``vectors`` keeps discovery vectors in the store, ``room``
brings single items up to date (an edit, a deletion) and ``whole`` all of them. ``backfill`` makes vectors that are
missing. No orchestrator in here: the graph, the HTTP API and the command line use the same functions.
"""
