"""Video, audio and text embeddings: one L2-normalised float32 vector a video and modality, stored as ``.npy``.

``video``, ``audio`` and ``text`` each hold an encoder (a model with its preprocessing) and the stage's function;
``vectors`` is what they share about numbers, ``batches`` where the models of picture and sound run and over how many
videos at once, ``golden`` the check that models, libraries and hardware still give the recorded vectors.
"""
