"""Fusion: the three vectors of a video become one.

``build.build_fused`` reads the three embedding manifests and replaces the fused manifest of each strategy. ``plan``
says what becomes of every video, ``strategies`` how vectors are fused, ``dimensions`` guards their lengths,
``inputs`` reads the ``.npy`` files, ``fused_manifest`` and ``parts`` are the files that come out, ``vectors`` reads
them for whoever needs fused vectors, and ``verify`` says whether they are sound.
"""
