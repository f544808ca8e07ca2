"""What a metadata row does not say of its video: game, broadcaster, creator, default tags.

``twitch`` asks the Twitch Helix API, ``enrich`` puts its answers, or the row's own fields, into the document.
"""
