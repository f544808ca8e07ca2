"""How the commands say things."""


def many(count: int, what: str) -> str:
    """1 user, 2 users."""
    return f"{count} {what}{'' if count == 1 else 's'}"
