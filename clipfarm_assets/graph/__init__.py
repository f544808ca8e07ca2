"""The Dagster layer: thin assets over the domain, and what turns one run into many true outcomes."""

import warnings

import dagster as dg

# Backfill policies and pools are marked beta in the pinned version; users of this project cannot act on that.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
