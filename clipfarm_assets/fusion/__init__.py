"""Fusion: the three vectors of a video become one.

``build.build_fused`` reads the three embedding manifests and replaces the fused manifest of each strategy. ``plan``
says what becomes of every video, ``strategies`` how vectors are fused, ``dimensions`` guards their lengths,
``vectors`` reads the ``.npy`` files, and ``fused_manifest`` is the file.
"""
