"""Finding videos and clips, by words and by meaning. No orchestrator, no HTTP in here.

``documents`` says what of an item is searched, ``words`` how text becomes words. ``index`` keeps documents and vectors
in LanceDB, with one writer at a time; ``query`` answers from it, ``suggest`` completes what is typed. ``popularity``
computes what depends on votes and age, ``evaluation`` measures how good the answers are.
"""
