"""Clips as files: an exact cut of a video, reframed, with subtitles beside it or drawn onto it."""
