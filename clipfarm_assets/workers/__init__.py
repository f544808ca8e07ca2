"""Processes that do the work on one video each, one a core, and whose death costs one video.

``pool`` is what a stage calls. It starts one ``foreman`` process a parent, which imports what the work needs (torch
takes seconds and 300 MB), loads its model, and forks the workers from there: they start in milliseconds and share
all of that. The foreman has one thread, so forking it is safe, which forking the parent is not. It hands out the
videos, watches time and memory, and replaces workers that died.
"""
