"""Recurring patterns across videos become prioritised Tasks. No database, no orchestrator, no LLM in here.

``plan`` reads like the flow: new segments are assigned to Tasks (``matching``), the rest is clustered (``clustering``),
clusters join Tasks or open new ones, near-duplicates are merged (``consolidate``). What comes out is a plan that the
caller writes in one transaction. ``priority`` ranks Tasks when they are read, ``labels`` names them without an LLM.
"""
